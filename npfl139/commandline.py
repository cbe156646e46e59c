"""The command line of a training: `npfl139 train ppo --steps 1e5`, or `python ppo.py --steps 1e5`."""

import dataclasses
import functools
import inspect
import itertools
import os
import re
import shlex
import shutil
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.markup import escape

from npfl139 import command, envs, in_notebook, usage
from npfl139.checkpoints import RunError
from npfl139.config import Config
from npfl139.evaluation import evaluate
from npfl139.examples import missing_exercise
from npfl139.options import options
from npfl139.runs import config_for, config_type_of, run
from npfl139.seeding import derived_seed
from npfl139.terminal import say, suggested

__all__ = ["main"]


def main(train: Callable, arguments: Sequence[str] | None = None, program: str | None = None) -> object:
    """Train as the command line says, every field of the type of `train`'s config being an option; print the evaluation, return the agent.

    Exits with status 2 and one sentence when something is wrong with what was asked for.

    Args:
        arguments, program: as the command line has them; by default those of this process.
    """
    if in_notebook() and arguments is None:  # where the process' own arguments are Jupyter's
        program, arguments = "npfl139.runs.main", []
    program = program or Path(sys.argv[0]).name
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    try:
        app.command(help=_title(train))(_trainer(train, program, sys.argv[1:] if arguments is None else arguments))
    except RunError as error:
        usage.refuse(program, error)
    try:
        return usage.answer(app, program, arguments)
    except SystemExit:
        if in_notebook():  # which would warn that it is not left this way; what is wrong has been said
            return None
        raise


def _trainer(train: Callable, program: str, arguments: Sequence[str]) -> Callable:
    """Return the function of which typer makes the command; its help shows the defaults of what the arguments name."""
    module = sys.modules[train.__module__]
    presets = getattr(module, "CONFIGS", {})
    usual = next(iter(presets), "CartPole-v1")
    preset = _named(arguments, "--config") or _named(arguments, "--env") or usual

    def trainer(
        env: Annotated[str, typer.Option(metavar="ENVIRONMENT", help="Where: an id of Gymnasium, or of ours, npfl139/….")] = usual,
        config: Annotated[
            str | None, typer.Option(help=escape(_preset_help(presets)), metavar="NAME", show_default="the environment's own")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Folder of the logs and the checkpoint.", show_default="a new one in runs/")
        ] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
        episodes: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Episodes of the final evaluation.")] = 20,
        threads: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Threads of torch; small networks are fastest with one.")] = 1,
        engine: Annotated[
            Literal["local", "ray"],
            typer.Option(metavar="local|ray", help="Where the actors are: in this process, or in others under Ray."),
        ] = "local",
        actors: Annotated[
            int | None,
            typer.Option(min=1, metavar="COUNT", help="Processes of actors under Ray.", show_default="all processors but one"),
        ] = None,
        address: Annotated[
            str | None, typer.Option(metavar="HOST:PORT|auto", help="A Ray cluster to join.", show_default="a new one on this machine")
        ] = None,
        **fields: tuple[object] | None,
    ) -> object:
        torch.set_num_threads(threads)
        try:
            settings = _settings(module, config, env, fields)
            out = out or Path("runs") / f"{re.sub('[^A-Za-z0-9]+', '-', env)}-{settings.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
            is_new = not out.exists()
            agent = run(module, env, settings, out, resume, _elsewhere(engine, actors, address))
        except NotImplementedError as error:
            exercise = missing_exercise(error)
            if exercise is None:  # torch raises such errors, too
                raise
            if is_new and out is not None:  # nothing was learnt in it that another run could be compared with
                shutil.rmtree(out, ignore_errors=True)
            usage.refuse(program, f"{exercise} is not implemented yet, and training needs it")
        except (ValueError, ImportError, RunError) as error:
            usage.refuse(program, error)
        except KeyboardInterrupt:
            resumed = f'{program}(train, ["--out", "{out}", "--resume"])' if in_notebook() else f"--out {shlex.quote(str(out))} --resume"
            typer.echo(f"\n{program}: interrupted; go on with {resumed}", err=True)
            raise typer.Exit(130) from None
        environments = envs.make(env, min(episodes, 20), derived_seed(settings.seed, "evaluation"))
        returns = evaluate(agent.act, environments, episodes)
        say(f"{env}: mean return {returns.mean():.1f} ± {returns.std():.1f} over {len(returns)} greedy episodes")
        say(f"Its curves, logs and weights are in {out}.")
        say(f"Compare them with the reference's: {command('plot', out)}")
        if in_notebook():
            say(f"See everything that was logged: %load_ext tensorboard, and in a cell below %tensorboard --logdir {out.parent}")
            say(f"Watch the agent, in a terminal: {command('demo', out).removeprefix('!')}")
        else:
            say(f"See everything that was logged: {shlex.join(['tensorboard', '--logdir', str(out.parent)])}")
            say(f"Watch the agent: {command('demo', out)}")
        return agent

    own = [parameter for parameter in inspect.signature(trainer).parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    panel = f"Configuration, defaults of {preset}"
    vars(trainer)["__signature__"] = inspect.Signature([*own, *options(config_type_of(train), config_for(module, preset), panel)])
    return trainer


def _named(arguments: Sequence[str], option: str) -> str | None:
    """Return the value of an option as far as it can be told before they are parsed."""
    values = (value for name, value in itertools.pairwise(["", *arguments, ""]) if name == option)
    joined = (argument.removeprefix(f"{option}=") for argument in arguments if argument.startswith(f"{option}="))
    return next(itertools.chain(values, joined), None)


def _settings(module: types.ModuleType, preset: str | None, env: str, fields: dict[str, tuple[object] | None]) -> Config:
    presets = getattr(module, "CONFIGS", {})
    if preset is not None and preset not in presets:
        raise ValueError(f"there is no configuration {preset!r}; {suggested(preset, presets)}")
    given: dict[str, Any] = {name: argument[0] for name, argument in fields.items() if argument is not None}
    if (steps := given.get("steps", 1)) < 1:
        raise ValueError(f"--steps must be at least 1, got {steps}")
    return dataclasses.replace(config_for(module, preset or env), **given)


def _elsewhere(engine: str, actors: int | None, address: str | None) -> Callable | None:
    if engine == "local":
        if actors is not None or address is not None:
            raise ValueError("--actors and --address say which other processes act: add --engine ray")
        return None
    from npfl139.distributed.ray_engine import ray_team

    return functools.partial(ray_team, actors=actors or max(1, (os.cpu_count() or 1) - 1), address=address)


def _title(train: Callable) -> str:
    return escape((sys.modules[train.__module__].__doc__ or "Train an agent.").strip().splitlines()[0])


def _preset_help(presets: dict[str, Config]) -> str:
    return (
        f"Configuration to start from: {', '.join(presets)}. With --help, its defaults are shown."
        if presets
        else "Configuration to start from; there are none."
    )
