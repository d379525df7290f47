"""The drill breaks each dependency in turn, so that you can watch the probes and learn from them.

A step is data: a `Step` in the file of the component that it breaks. `steps.py` lists all steps. To
let the drill break a component of your own, write such a file and add its steps there.
"""
