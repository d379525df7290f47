"""The details that the probes withhold, as data for the management port. No I/O."""

from collections.abc import Collection, Iterator

from ..health import Monitor, Probe, Registry, Status

REASONS = {Status.FAIL: "the service needs it", Status.WARN: "the service can do without it"}


def check_report(monitor: Monitor, now: float) -> dict[str, object]:
    """Return everything that is known of one check. Durations and ages are in seconds.

    history: the latest attempts, newest last, each as `[age, duration, passed]`.
    observedValue: the data of the latest result. The page shows `in_use` and `max` as a bar.
    """
    state = monitor.state
    return {
        "status": monitor.status(now),
        "impact": monitor.check.impact,
        "impactReason": monitor.check.impact_reason or REASONS[monitor.check.impact],
        "stale": monitor.stale(now),
        "age": round(now - state.checked_at, 3) if state.attempts else None,
        "since": round(now - state.since, 3),
        "duration": round(state.duration, 6),
        "timeout": monitor.timeout,
        "attempts": state.attempts,
        "consecutiveFailures": state.consecutive_failures,
        "error": error_name(monitor, now),
        "output": state.detail,
        "observedValue": dict(state.data),
        "history": [
            (
                round(now - each.checked_at, 1),
                round(each.duration, 6),
                not each.consecutive_failures,
            )
            for each in monitor.history
        ],
    }


def full_report(registry: Registry) -> dict[str, object]:
    """Return the probes, the load and every check, as `application/health+json`."""
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
    """Yield one line per check, in the format of the Kubernetes API server's `?verbose`."""
    if probe is Probe.LIVE:
        alive = registry.is_supervised()
        yield "[+]supervisor ok" if alive else "[-]supervisor failed: Unresponsive"
        for name, monitor in registry.monitors.items():
            if monitor.needs_restart():
                error = "Unresponsive" if monitor.stuck else monitor.state.error
                yield f"[-]{name} failed: {error}"
            elif monitor.check.liveness:
                yield f"[+]{name} ok"
    else:
        now = registry.clock()
        for name, monitor in registry.monitors.items():
            if name in exclude:
                yield f"[+]{name} excluded: ok"
            else:
                started = probe is Probe.STARTUP and not monitor.delays_startup()
                yield _verbose_line(monitor, now, started=started)
        if not registry.started_up:
            yield "[-]startup failed: Starting"
    if registry.draining and probe is not Probe.STARTUP:
        yield "[-]shutdown failed: Draining" if probe is Probe.READY else "[+]shutdown draining"
    unknown = sorted(set(exclude) - set(registry.monitors))
    if unknown:
        names = ", ".join(ascii(name) for name in unknown)
        yield f"warn: some checks cannot be excluded: there is no check named {names}"


def error_name(monitor: Monitor, now: float) -> str | None:
    """Return the type of the latest error, or `Stale` if the result is overdue."""
    return "Stale" if monitor.stale(now) else monitor.state.error


def _verbose_line(monitor: Monitor, now: float, *, started: bool) -> str:
    error = error_name(monitor, now)
    reason = f": {error}" if error else ""
    match Status.PASS if started else monitor.status(now):
        case Status.PASS:
            return f"[+]{monitor.name} ok"
        case Status.WARN:
            return f"[!]{monitor.name} warn{reason}"
        case Status.FAIL:
            return f"[-]{monitor.name} failed{reason}"
