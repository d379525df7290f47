"""Which services the tests generate: a few with `make test`, every pair with `make test-all`."""

from itertools import combinations, cycle

from hooks.post_gen_project import FEATURES, TIERS
from hooks.pre_gen_project import REQUIRES

Answers = dict[str, object]

NOTHING: Answers = dict.fromkeys(FEATURES, False)
FEW: dict[str, Answers] = {
    "defaults": {},
    "everything": dict.fromkeys(FEATURES, True),
    "postgres": NOTHING | {"postgres": True},
    "sentinel": NOTHING | {"redis": True, "sentinel": True},
    "events": NOTHING | {"kafka": True, "grpc": True, "observability": True, "part_tests": True},
    "observability": NOTHING | {"observability": True},
    "part_tests": NOTHING | {"drill": True, "part_tests": True, "slo_tier": "edge"},
}
ADDITIONS = ("drill", "part_tests", "patterns")
"""Features that add only tests, documents or a command. They are not paired with each feature."""
PAIRED = [feature for feature in FEATURES if feature not in ADDITIONS]
IN_CODE = {
    name for name, files in FEATURES.items() if any(file.startswith("src/") for file in files)
}
# Names that are hard to escape, to sort or to fit into a line.
NAMES: list[Answers] = [
    {"project_name": "Orders"},
    {"project_name": 'Сервис "Заказы" \\', "project_slug": "s", "package_name": "a"},
    {"project_name": "it's {odd} # feature: redis", "package_name": "z" * 40},
    {"project_name": "x" * 80, "project_slug": "x" * 40, "package_name": "reference_service"},
]


def with_required(*features: str) -> frozenset[str]:
    """Return the features and what they require."""
    return frozenset({*features, *(REQUIRES[each] for each in features if each in REQUIRES)})


def few_features() -> list[frozenset[str]]:
    """Return no feature, each feature alone and each pair."""
    few = (with_required(*some) for count in (0, 1, 2) for some in combinations(PAIRED, count))
    return [*dict.fromkeys(few)]


def every_pair() -> dict[str, Answers]:
    """Return each feature alone, each pair and all features, with names and tiers in turn.

    All have the drill and the part tests, so that these are linted with each pair. Services with
    the same code get the same names: their tests then run once.
    """
    others = zip(cycle(NAMES), cycle(TIERS), strict=False)
    of_code: dict[frozenset[str], Answers] = {}
    pairs: dict[str, Answers] = {}
    for features in [*few_features(), frozenset(PAIRED)]:
        code = features & IN_CODE
        if code not in of_code:
            names, tier = next(others)
            of_code[code] = names | {"slo_tier": tier, "drill": True, "part_tests": True}
        name = "+".join(feature for feature in PAIRED if feature in features) or "none"
        pairs[name] = NOTHING | dict.fromkeys(features, True) | of_code[code]
    return pairs
