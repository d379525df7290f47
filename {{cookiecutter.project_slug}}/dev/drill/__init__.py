"""The drill: breaks each dependency in turn while one watches the probes, to learn what they mean.

A step is data, a `Step` in the file of what it breaks; `steps.py` lists them. To have the drill
break what is your own, write a file like those, and name its steps there.
"""
