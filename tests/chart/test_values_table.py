"""The README's table of values says what the chart has, in every service."""

from tools.values_table import SERVICE, table, written

from .helm import Chart


def test_the_table_of_a_service_is_that_of_its_chart(chart: Chart) -> None:
    service = chart.folder.parents[1]
    readme = (service / "README.md").read_text("utf-8")
    assert written(readme, table(service)) == readme


def test_the_table_of_the_template_folder_is_up_to_date() -> None:
    """`make docs` writes it."""
    rows = table(SERVICE)
    readme = (SERVICE / "README.md").read_text("utf-8")
    assert [line for row in rows if (line := row.split(" <!--")[0]) not in readme] == []
