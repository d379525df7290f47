"""The table of values in docs/kubernetes.md matches the chart, in every service."""

from tools.values_table import PAGE, SERVICE, replace_table, table

from .helm import Chart


def test_table_in_generated_service_matches_chart(chart: Chart) -> None:
    service = chart.folder.parents[1]
    page = (service / PAGE).read_text("utf-8")
    assert replace_table(page, table(service)) == page


def test_table_in_template_folder_is_up_to_date() -> None:
    """`make docs` writes the table."""
    page = (SERVICE / PAGE).read_text("utf-8")
    assert replace_table(page, table(SERVICE)) == page
