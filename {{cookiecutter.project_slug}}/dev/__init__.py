"""Development on real servers that come as wheels: no Docker, nothing else to install.

``python -m dev`` runs the service on them. A test takes one for itself:

    with Server(folder) as server:
        client = connect(server.url)
        server.pause()

where ``Server`` is any class of `dev.servers`. Whatever is started here ends with its starter.
"""
