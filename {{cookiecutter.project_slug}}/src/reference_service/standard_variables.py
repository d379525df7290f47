"""Ignore variables of OpenTelemetry that it cannot use, as its specification demands.

OpenTelemetry for Python raises an exception instead, for some variables while it is imported. So
the package itself calls this, before anything else is imported.
"""

import os
import re
from collections.abc import Iterator, MutableMapping
from importlib.metadata import entry_points

NUMBER, POSITIVE = r"\d{1,9}", r"[1-9]\d{0,8}"
PAIRS = r"[^=,]+=[^,]*(,[^=,]+=[^,]*)*,?"
COLLECTOR = r"https?://([^\s/]*@)?([\w.-]+|\[[\da-fA-F:.]+\])(:0*[1-9]\d{0,4})?([/?]\S*)?"
SAMPLERS = r"(?i:(parentbased_)?(always_on|always_off|traceidratio))"
VARIABLES = (  # their names after OTEL_, the values that can be used, and the same in words
    (r"(SPAN_|EVENT_|LINK_)?ATTRIBUTE_(COUNT|VALUE_LENGTH)_LIMIT", NUMBER, "a number"),
    (r"(SPAN_(EVENT|LINK)_COUNT_LIMIT|TRACES_FORCED_PER_SECOND)", NUMBER, "a number"),
    (r"BSP_(SCHEDULE_DELAY|EXPORT_TIMEOUT)", POSITIVE, "milliseconds"),
    (r"BSP_MAX_(QUEUE|EXPORT_BATCH)_SIZE", POSITIVE, "a positive number"),
    (r"EXPORTER_[A-Z]+_(TRACES_)?TIMEOUT", POSITIVE, "milliseconds"),
    (r"EXPORTER_[A-Z]+_(TRACES_)?PROTOCOL", "http/protobuf", "http/protobuf"),
    (r"EXPORTER_[A-Z]+_(TRACES_)?COMPRESSION", "(?i:none|gzip|deflate)", "none, gzip or deflate"),
    (r"EXPORTER_[A-Z]+_(TRACES_)?ENDPOINT", COLLECTOR, "the URL of a collector"),
    (r"EXPORTER_[A-Z]+_(TRACES_)?HEADERS", PAIRS, "key=value pairs"),
    (r"RESOURCE_ATTRIBUTES", PAIRS, "key=value pairs"),
    (r"SDK_DISABLED", "(?i:true|false)", "true or false"),
    (r"TRACES_EXPORTER", "otlp|none", "otlp or none"),  # feature: observability
    (r"TRACES_SAMPLER", SAMPLERS, "a sampler that is installed"),
    (r"TRACES_SAMPLER_ARG", r"0?\.\d+|[01](\.0*)?", "a ratio from 0 to 1"),
)
PROPAGATORS = "OTEL_PROPAGATORS"
FILES = re.compile(r"OTEL_EXPORTER_[A-Z]+_(TRACES_)?(CERTIFICATE|CLIENT_CERTIFICATE|CLIENT_KEY)")
QUEUE, BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"


def ignore_unusable(environment: MutableMapping[str, str]) -> Iterator[str]:
    """Remove variables that are empty or cannot be used; yield a sentence for each of the latter.

    The sentences have no values, because some are secrets.
    """
    for name in sorted(each for each in environment if each.startswith("OTEL_")):
        value = environment[name] = environment[name].strip()
        expected = next((rule for rule in VARIABLES if re.fullmatch(f"OTEL_{rule[0]}", name)), None)
        if not value:
            del environment[name]
        elif expected and not re.fullmatch(expected[1], value):
            del environment[name]
            yield f"{name} is ignored: it is not {expected[2]}."
        elif FILES.fullmatch(name) and not os.access(value, os.R_OK):
            del environment[name]
            yield f"{name} is ignored: it is not a file that can be read."
        elif name == PROPAGATORS:
            yield from _ignore_unknown_propagators(environment)
    queue = int(environment.get(QUEUE, "2048"))  # the defaults of the specification
    if int(environment.get(BATCH, "512")) > queue:
        environment[BATCH] = str(queue)
        yield f"{BATCH} is reduced to {QUEUE}."


def _ignore_unknown_propagators(environment: MutableMapping[str, str]) -> Iterator[str]:
    names = [name.strip() for name in environment[PROPAGATORS].split(",")]
    known = {"none", *entry_points(group="opentelemetry_propagator").names}
    usable = [name for name in names if name in known]
    if usable:
        environment[PROPAGATORS] = ",".join(usable)
    else:
        del environment[PROPAGATORS]
    if len(usable) < len(names):
        yield f"{PROPAGATORS} names a propagator that is not installed; it is ignored."
