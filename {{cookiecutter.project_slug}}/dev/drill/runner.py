"""Plays one step: breaks something, watches the probes, mends it, and tells what was seen."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass

from dev.drill.environment import Stage
from dev.drill.snapshot import WELL, Look
from dev.drill.step import Act, Step

PERIOD = 0.2
"""Seconds between two looks at the probes."""
PAUSE = 1.5
"""Seconds in which a person sees that all is well, and then what it has turned to."""
PATIENCE = 15.0
"""Seconds until a change counts as missed: twice what an idle service may take to notice."""
FORGIVEN = 2
"""Wrong answers of `startup` and `live`: a busy machine is late, and Kubernetes acts on a third."""


@dataclass(frozen=True)
class Outcome:
    """What was seen of a step.

    turned: seconds until `ready` answered as told; None if it never did.
    back: seconds from the mending until all was well again; None if it never was.
    missed: a sentence for each thing that was not as told.
    """

    step: Step
    turned: float | None
    back: float | None
    missed: tuple[str, ...] = ()


Show = Callable[[Look, str, float], None]
"""Shows a look: taken in which phase, so many seconds after its beginning."""


def play(step: Step, stage: Stage, show: Show) -> Outcome:
    """Play it, from a service that is well to one that is well again."""
    watch = Watch(stage, show)
    watch.pause()
    watch.during(step.breaks)
    watch.begin("broken")
    turned = watch.until(lambda look: look.ready == step.ready)
    watch.pause()
    missed = [*compare(step, watch.looks)]
    watch.during(step.mends)
    watch.begin("mended")
    back = watch.until(lambda look: look.is_well)
    if back is None:
        missed.append(f"all was not well again {PATIENCE:g} s after it was mended")
    return Outcome(step, turned, back, (*missed, *watch.mishaps))


def compare(step: Step, looks: list[Look]) -> Iterator[str]:
    """Yield a sentence for each thing that was not seen as the step tells it."""
    answers = {look.ready for look in looks}
    if step.ready not in answers:
        yield f"ready never answered {step.ready}, but {' and '.join(sorted(answers))}"
    said = {fault for look in looks for fault in look.faults}
    if step.names and not any(fault.startswith(step.names) for fault in said):
        yield f"?verbose never named {step.names}, but {', '.join(sorted(said)) or 'nothing'}"
    others = [answer for look in looks for answer in (look.startup, look.live)]
    wrong = [answer for answer in others if answer not in {step.live, WELL}]
    if step.live not in others or len(wrong) > FORGIVEN:
        seen = " and ".join(sorted(set(others)))
        yield f"startup and live did not answer {step.live}, but {seen}"


class Watch:
    """Looks at the probes again and again, and has each look shown and kept.

    looks: those of the current phase. mishaps: what went wrong with breaking and mending.
    """

    def __init__(self, stage: Stage, show: Show) -> None:
        self.looks: list[Look] = []
        self.mishaps: list[str] = []
        self._stage, self._show = stage, show
        self.begin("well")

    def begin(self, phase: str) -> None:
        """Begin another phase, whose seconds count from now."""
        self.looks = []
        self._phase, self._began = phase, time.monotonic()

    def until(self, condition: Callable[[Look], bool], patience: float = PATIENCE) -> float | None:
        """Look until a condition holds. Give the seconds from the phase's beginning, or None."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            look = self._look()
            if condition(look):
                return look.at - self._began
            time.sleep(PERIOD)
        return None

    def pause(self) -> None:
        """Look for a while."""
        self.until(lambda _: False, PAUSE)

    def during(self, act: Act) -> None:
        """Look while an act is done."""
        doing = self._stage.threads.submit(act, self._stage)
        while not wait([doing], timeout=PERIOD).done:
            self._look()
        try:
            doing.result()
        except (OSError, RuntimeError) as error:
            self.mishaps.append(f"{type(error).__name__}: {error}")

    def _look(self) -> Look:
        look = self._stage.look()
        self.looks.append(look)
        self._show(look, self._phase, time.monotonic() - self._began)
        return look
