"""The drill breaks each dependency in turn, so that you can watch the probes and learn from them.

A step is data: a `Step` in the file of the component that it breaks. `STEPS` lists all steps. To
let the drill break a component of your own, write such a file and add its steps there.
"""

from dev.drill.grpc import GRPC  # feature: grpc
from dev.drill.kafka import KAFKA  # feature: kafka
from dev.drill.postgres import POSTGRES  # feature: postgres
from dev.drill.redis import REDIS  # feature: redis
from dev.drill.sentinel import SENTINEL  # feature: sentinel
from dev.drill.service import SERVICE
from dev.drill.step import Step
from dev.servers import SERVERS

_ALL: list[Step] = [
    *POSTGRES,  # feature: postgres
    *REDIS,  # feature: redis
    *SENTINEL,  # feature: sentinel
    *KAFKA,  # feature: kafka
    *GRPC,  # feature: grpc
    *SERVICE,
]
STEPS = [step for step in _ALL if step.server is None or step.server in SERVERS]
"""Without the steps for servers that another server replaces."""
