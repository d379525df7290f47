"""Development on real servers that are installed as wheels, without Docker.

``python -m dev`` runs the service on them. A test can start a server of its own:

    with Server(folder) as server:
        client = connect(server.url)
        server.pause()

``Server`` is any class of `dev.servers`. Every server ends when the process that started it ends.
"""
