"""Write the schemas of custom resources that the chart is tested with, from npm packages.

    python -m tools.crd_schemas

kubernetes-models compiles each definition into a validator in JavaScript: one function per node of
the schema, whose errors name what it expects. This script reads the schema back from them, without
descriptions. An object that lists its fields accepts no others. Types of Kubernetes itself become
references into the definitions of kubernetes-validate.
"""

import functools
import json
import re
import subprocess
import tarfile
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from tools.generate import ROOT

TARGET = ROOT / "tests" / "chart" / "schemas"
KINDS = {
    "@kubernetes-models/prometheus-operator@5.0.1": [
        "MonitoringCoreosComV1ServiceMonitor",
        "MonitoringCoreosComV1PrometheusRule",
    ],
    "@kubernetes-models/argo-rollouts@2.0.0": [
        "ComGithubArgoprojArgoRolloutsPkgApisRolloutsV1alpha1AnalysisTemplate",
        "ComGithubArgoprojArgoRolloutsPkgApisRolloutsV1alpha1Rollout",
    ],
}
# Fields of Argo Rollouts that no chart here uses: other metric providers, meshes, experiments.
# A schema without them is only stricter.
UNUSED_FIELDS = {"experiment", "kayenta", "plugin", "trafficRouting", "blueGreen", "web", "job"}
UNUSED_FIELDS |= {
    "cloudWatch",
    "datadog",
    "graphite",
    "influxdb",
    "newRelic",
    "skywalking",
    "wavefront",
}

IMPORT = re.compile(r'import\{validate as (\w+)\}from"([^"]+)"')
ENUM = re.compile(r"(\w+_enum)=(\[[^]]*\])")
# The calls in a function: on the whole value, on a field, on an item, on any other field.
SAME = re.compile(r"(validate\w+)\(data,\{instancePath,")
FIELD = re.compile(r'(validate\w+)\(data[.\[][^,]+,\{instancePath:instancePath\+"/([^"]+)"')
ITEM = re.compile(r"(validate\w+)\(data\[i0\]")
VALUE = re.compile(r"(validate\w+)\(data\[key0\]")
LIMIT = re.compile(r'keyword:"(\w+)",params:\{\w+:("(?:[^"\\]|\\.)*"|\w+)\}')

Schema = dict[str, Any]


class Validators:
    """One compiled file: its functions by name, and its imports."""

    def __init__(self, path: Path) -> None:
        """Parse the file."""
        self.path = path
        text = path.read_text("utf-8")
        self.imported = dict(IMPORT.findall(text))
        self.enums = dict(ENUM.findall(text))
        parts = re.split(r"function (validate\w+)\(data,", text)
        self.functions = dict(zip(parts[1::2], parts[2::2], strict=True))
        self.main = re.findall(r"export const validate=(\w+);", text)[0]

    def schema(self, name: str) -> Schema:
        """Return the node of the schema that the function `name` was compiled from."""
        if name in self.imported:
            return self.refer(self.imported[name])
        body = self.functions[name]
        if "valid0" in body:
            names = dict.fromkeys(SAME.findall(body))
            return {"anyOf": [self.schema(each) for each in names]}
        node = self.node(body)
        for other in map(self.schema, SAME.findall(body)):  # embedded schemas
            fields = other.get("properties", {}) | node.get("properties", {})
            node = other | node | ({"properties": fields} if fields else {})
        return node

    def node(self, body: str) -> Schema:
        """Return the schema that the errors of a function describe."""
        node: Schema = {}
        for keyword, limit in LIMIT.findall(body):
            match keyword:
                case "required":
                    node.setdefault("required", []).append(json.loads(limit))
                case "enum":
                    node["enum"] = json.loads(self.enums[limit])
                case "pattern":
                    pattern = json.loads(limit)
                    flags = "(?i)" if "(?i)" in pattern else ""  # Go accepts flags anywhere
                    node["pattern"] = flags + pattern.replace("(?i)", "")
                case "type" | "minLength" | "maxLength" | "minItems" | "minimum" | "maximum":
                    node[keyword] = json.loads(limit)
                case "format":
                    pass  # for example int64: the type is enough
                case _:
                    raise NotImplementedError(keyword)
        if fields := FIELD.findall(body):
            node["additionalProperties"] = False
            node["properties"] = {
                field: self.schema(function)
                for function, field in fields
                if field not in UNUSED_FIELDS
            }
        if item := ITEM.search(body):
            node["items"] = self.schema(item[1])
        if value := VALUE.search(body):
            node["additionalProperties"] = self.schema(value[1])
        return node

    def refer(self, source: str) -> Schema:
        """Return the schema of an import: another file, or a definition of Kubernetes."""
        if source.startswith("./"):
            other = Validators(self.path.parent / source)
            return other.schema(other.main)
        return {"$ref": "/api/_definitions.json#/$defs/" + definitions()[Path(source).stem.lower()]}


@functools.cache
def definitions() -> dict[str, str]:
    """Map each Kubernetes definition from its name in kubernetes-models to its real name."""
    wheel = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    text = (wheel / "v1.37.0-local-strict" / "_definitions.json").read_text("utf-8")
    return {
        name.replace(".", "").replace("-", "").lower(): name for name in json.loads(text)["$defs"]
    }


def unpacked(package: str, folder: Path) -> Path:
    """Download a package from npm and unpack it below `folder`."""
    command = ["npm", "pack", "--silent", package]
    printed = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    file = printed.stdout.strip()
    with tarfile.open(folder / file) as archive:
        archive.extractall(folder / Path(file).stem, filter="data")
    return folder / Path(file).stem / "package" / "_schemas"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for package, names in KINDS.items():
            compiled = unpacked(package, Path(temporary))
            for name in names:
                validators = Validators(compiled / f"{name}.js")
                schema = validators.schema(validators.main)
                schema["properties"].pop("status", None)  # the controller writes it
                kind = schema["properties"]["kind"]["enum"][0].lower()
                text = json.dumps(schema, indent=1, sort_keys=True) + "\n"
                (TARGET / f"{kind}.json").write_text(text, "utf-8")
