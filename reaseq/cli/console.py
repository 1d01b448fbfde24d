"""What the terminal shows: the progress of a run, tables, and errors as one paragraph."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class ProgressView:
    """Draws the events of `reaseq.progress`: a line per finished stage, a bar for what is at work."""

    def __init__(self, console: Console = out):
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._stage: TaskID | None = None
        self._bar: TaskID | None = None
        self._description = ""

    def __enter__(self) -> "ProgressView":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_event(self, event: dict[str, Any]) -> None:
        """Show one event."""
        match event["event"]:
            case "stage_started":
                self._clear()
                self._stage = self._progress.add_task(f"[bold]{event['stage']}", total=None, count="")
            case "stage_finished":
                self._clear()
                self._console.print(f"  [green]✓[/] {event['stage']:<26} [dim]{event['seconds']:8.1f} s[/]")
            case "stage_failed":
                self._clear()
                self._console.print(f"  [red]✗[/] {event['stage']}")
            case "note":
                self._console.print(f"    {event['text']}", style="dim", markup=False)
            case "progress":
                self._draw(event)

    def _draw(self, event: dict[str, Any]) -> None:
        if self._bar is None or self._description != event["description"]:
            if self._bar is not None:
                self._progress.remove_task(self._bar)
            self._description = event["description"]
            self._bar = self._progress.add_task(f"    {self._description}", total=event["total"], count="")
        total = event["total"]
        count = f"{event['done']:,}/{total:,}" if total is not None else f"{event['done']:,}"
        self._progress.update(self._bar, completed=event["done"], total=total, count=count)

    def _clear(self) -> None:
        for task in (self._stage, self._bar):
            if task is not None:
                self._progress.remove_task(task)
        self._stage = self._bar = None


def print_error(message: str) -> None:
    """An error as one paragraph on standard error."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    text = textwrap.fill(" ".join(message.split()), width - 7, break_long_words=False, break_on_hyphens=False)
    err.print("[bold red]error:[/] ", end="")
    err.print(text, markup=False, soft_wrap=True)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1, header: bool = True
) -> None:
    """A plain table under its title. Cells are text, never markup; the first `text_columns` are left-aligned."""
    grid = Table(box=None, pad_edge=False, show_header=header)
    for place, column in enumerate(columns):
        grid.add_column(column, justify="left" if place < text_columns else "right", overflow="fold")
    for row in rows:
        grid.add_row(*map(escape, row))
    out.print(title, style="bold", markup=False, soft_wrap=True)
    out.print(grid)
