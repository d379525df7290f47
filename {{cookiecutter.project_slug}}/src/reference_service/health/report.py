"""Tells in full what the probes keep to themselves: data for people and programs, no I/O."""

from collections.abc import Collection, Iterator

from .answer import Probe
from .check import Status
from .monitor import Monitor
from .registry import Registry


def check_report(monitor: Monitor, now: float) -> dict[str, object]:
    """Return all that is known of a check; `age`, `since`, `duration`, `timeout` are in seconds.

    history: the latest attempts, newest last, each as `[seconds ago, seconds it took, passed]`.
    observedValue: what the check saw; numbers named `in_use` and `max` are shown as a bar.
    """
    verdict = monitor.state
    return {
        "status": monitor.status(now),
        "impact": monitor.check.impact,
        "stale": monitor.stale(now),
        "age": round(now - verdict.checked_at, 3) if verdict.attempts else None,
        "since": round(now - verdict.since, 3),
        "duration": round(verdict.duration, 6),
        "timeout": monitor.timeout,
        "attempts": verdict.attempts,
        "consecutiveFailures": verdict.failures,
        "error": fault(monitor, now),
        "output": verdict.detail,
        "observedValue": dict(verdict.data),
        "history": [
            (round(now - sample.at, 1), round(sample.duration, 6), sample.ok)
            for sample in monitor.history
        ],
    }


def full_report(registry: Registry) -> dict[str, object]:
    """Return every check and what the engine makes of them, as application/health+json."""
    now = registry.clock()
    return {
        "status": registry.answer(Probe.READY).status,
        "probes": {probe: registry.answer(probe).code for probe in Probe},
        "draining": registry.draining,
        "loadScore": round(registry.cadence.score, 3),
        "interval": round(registry.cadence.interval, 3),
        "checks": {name: [check_report(m, now)] for name, m in registry.monitors.items()},
    }


def verbose_lines(registry: Registry, probe: Probe, exclude: Collection[str]) -> Iterator[str]:
    """Yield one line a check, in the manner of the Kubernetes API server's `?verbose`."""
    if probe is Probe.LIVE:
        yield "[+]supervisor ok" if registry.supervised() else "[-]supervisor failed: Unresponsive"
    else:
        now = registry.clock()
        for name, monitor in registry.monitors.items():
            if name in exclude:
                yield f"[+]{name} excluded: ok"
            else:
                yield _line(monitor, now, once=probe is Probe.STARTUP)
        if not registry.started_up:
            yield "[-]startup failed: Starting"
    if registry.draining and probe is not Probe.STARTUP:
        yield "[-]shutdown failed: Draining" if probe is Probe.READY else "[+]shutdown draining"
    unknown = sorted(set(exclude) - set(registry.monitors))
    if unknown:
        names = ", ".join(ascii(name) for name in unknown)
        yield f"warn: some checks cannot be excluded: there is no check named {names}"


def fault(monitor: Monitor, now: float) -> str | None:
    """Name what is wrong with a check: the latest error's type, or that nobody has looked."""
    return "Stale" if monitor.stale(now) else monitor.state.error


def _line(monitor: Monitor, now: float, *, once: bool) -> str:
    error = fault(monitor, now)
    reason = f": {error}" if error else ""
    match Status.PASS if once and monitor.startup_satisfied else monitor.status(now):
        case Status.PASS:
            return f"[+]{monitor.name} ok"
        case Status.WARN:
            return f"[!]{monitor.name} warn{reason}"
        case Status.FAIL:
            return f"[-]{monitor.name} failed{reason}"
