"""Which services are generated: a few by `make test`, each two features by `make test-all`."""

from itertools import combinations, cycle

from hooks.post_gen_project import FEATURES, TIERS
from hooks.pre_gen_project import NEEDS

Answers = dict[str, object]

NOTHING: Answers = dict.fromkeys(FEATURES, False)
FEW: dict[str, Answers] = {
    "defaults": {},
    "everything": dict.fromkeys(FEATURES, True),
    "postgres": NOTHING | {"postgres": True},
    "sentinel": NOTHING | {"redis": True, "sentinel": True},
    "events": NOTHING | {"kafka": True, "grpc": True, "observability": True},
    "observability": NOTHING | {"observability": True},
    "nothing": NOTHING | {"slo_tier": "edge"},
}
IN_CODE = {
    name for name, files in FEATURES.items() if any(file.startswith("src/") for file in files)
}
# Names that are hard to write, to sort or to fit in.
NAMES: list[Answers] = [
    {"project_name": "Orders"},
    {"project_name": 'Сервис "Заказы" \\', "project_slug": "s", "package_name": "a"},
    {"project_name": "it's {odd} # feature: redis", "package_name": "z" * 40},
    {"project_name": "x" * 80, "project_slug": "x" * 40, "package_name": "reference_service"},
]


def with_needs(*features: str) -> frozenset[str]:
    """Return features, and what they cannot do without."""
    return frozenset({*features, *(NEEDS[each] for each in features if each in NEEDS)})


def every_pair() -> dict[str, Answers]:
    """Return each feature alone, each two together and all, with names and tiers in turn.

    Those that have the same code have the same names, so that they are the same.
    """
    few = (with_needs(*some) for count in (0, 1, 2) for some in combinations(FEATURES, count))
    others = zip(cycle(NAMES), cycle(TIERS), strict=False)
    of_code: dict[frozenset[str], Answers] = {}
    pairs: dict[str, Answers] = {}
    for features in [*dict.fromkeys(few), frozenset(FEATURES)]:
        code = features & IN_CODE
        if code not in of_code:
            names, tier = next(others)
            of_code[code] = names | {"slo_tier": tier}
        name = "+".join(feature for feature in FEATURES if feature in features) or "none"
        pairs[name] = NOTHING | dict.fromkeys(features, True) | of_code[code]
    return pairs
