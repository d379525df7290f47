"""The comparison: this engine and five health check libraries, in the same faults.

    make comparison [ARGS="--quick | --only TEXT"]

- `__main__`: copy the engine into an application, start the worker, write the page.
- `hosts`: one application for each library. `libraries`: how each is started and asked.
- `worker`: runs with the packages that are compared. It starts the servers and yields results.
- `during_faults`: breaks the servers for all applications at once, and asks their probes.
- `flood`: sends 200 probes to one application while PostgreSQL hangs. `counts`: what it holds then.
- `costs`: the lines to add and the time to import. `page`: the tables of `docs/comparison.md`.
"""
