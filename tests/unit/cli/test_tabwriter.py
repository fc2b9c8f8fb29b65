"""Elastic tab stops: a table as kubectl lays it out, and text in which only neighbouring lines align."""

from __future__ import annotations

from minipod.cli.output.tabwriter import TabWriter


def test_a_column_is_as_wide_as_its_widest_cell_and_the_padding() -> None:
    writer = TabWriter(minimum=6, padding=3)
    writer.write("NAME\tREADY\tAGE\n")
    writer.write("web-with-sidecar\t2/2\t5s\n")
    writer.write("x\t0/1\t10m\n")
    assert writer.flush() == (
        "NAME               READY   AGE\nweb-with-sidecar   2/2     5s\nx                  0/1     10m\n"
    )


def test_a_line_without_a_cell_ends_the_column() -> None:
    writer = TabWriter(minimum=0, padding=2)
    writer.write(
        "Name:\tweb\nLabels:\ta=b\n\tc=d\nContainers:\n  app:\n    Container ID:\tx\n    Image:\ty\n"
    )
    assert writer.flush() == (
        "Name:    web\n"
        "Labels:  a=b\n"
        "         c=d\n"
        "Containers:\n"
        "  app:\n"
        "    Container ID:  x\n"
        "    Image:         y\n"
    )


def test_what_follows_the_last_tab_takes_no_part_in_the_width() -> None:
    writer = TabWriter(minimum=0, padding=1)
    writer.write("a\ta very long end of the line\nb\tc\td\n")
    assert writer.flush() == "a a very long end of the line\nb c d\n"


def test_a_watch_keeps_the_widths_it_has_shown() -> None:
    writer = TabWriter(minimum=6, padding=3, remember=True)
    writer.write("a-rather-long-name\tx\n")
    writer.flush()
    writer.write("b\ty\n")
    assert writer.flush() == "b                    y\n"


def test_nothing_written_is_nothing_printed() -> None:
    assert TabWriter(minimum=6, padding=3).flush() == ""
