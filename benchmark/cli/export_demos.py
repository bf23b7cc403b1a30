"""`bench export demos`."""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.options import echo, split


def export_demos(
    to: Path,
    form: str | None,
    suite: str | None,
    tasks: str | None,
    protocol: str | None,
    frame_rate: int | None,
    out: Path,
    data: Path | None,
    overrides: list[str],
) -> None:
    """Demonstrations as a LeRobot data set."""
    from benchmark.experiment.exported_demos import export_demos as write
    from benchmark.records.paths import Paths
    from benchmark.settings.load import load_settings
    from benchmark.system.errors import ConfigError

    if form not in (None, "lerobot"):
        raise ConfigError(f"--format {form} is for records; demonstrations have --format lerobot")
    settings = load_settings(suite or "metaworld-15", protocol or "clar", "mlp", overrides)
    chosen = settings.suite.select(split(tasks, "--tasks"))
    done = write(settings, chosen, Paths(out, data or out / "data"), to, frame_rate)
    echo(
        f"{done.folder}: {done.episodes} episodes of {len(chosen)} task{'s' if len(chosen) > 1 else ''}, "
        f"{done.frames} frames at {done.timing.fps} a second. {done.timing.said()}"
    )
    if done.left_out:
        echo(done.left_out)
