"""Recipes: closed tables, one-line errors that name the mend, overrides, and back to TOML."""

import tomllib
from dataclasses import fields

import pytest

from discover.errors import RecipeError
from discover.study import recipes
from discover.study.overrides import override
from discover.study.recipe_tables import Train

BUNDLED = ["double_pendulum", "panda", "planar_3r", "real_double_pendulum"]

SMALL = """
[study]
name = "small"
[robot]
source = "double_pendulum"
[region]
q = 1.0
v = [2.0, 3.0]
tau = {low = -1.0, high = [2.0, 3.0]}
[data]
samples = 100
[[model]]
name = "net"
kind = "mlp"
width = 32
[model.train]
budget_s = 5
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_the_bundled_recipes_are_there_and_whole():
    assert set(BUNDLED) <= set(recipes.bundled_recipes())
    for name, path in recipes.bundled_recipes().items():
        recipe = recipes.load(name)
        assert recipe.study.name == name == path.stem
        assert recipe == recipes.load(path)
        assert recipe.study.title


@pytest.mark.parametrize("name", BUNDLED)
def test_a_resolved_recipe_reads_back_as_itself(name):
    recipe = recipes.load(name, ["study.seed=3", "train.lr=1e-4"])
    assert recipes.Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe
    assert recipe.to_dict()["study"]["seed"] == 3


def test_defaults_options_and_training_of_a_model(small):
    recipe = recipes.load(small)
    assert recipe.data.design == "box"
    assert recipe.model[0].options == {"width": 32}
    assert recipe.training("net").budget_s == 5
    assert recipe.training("net").epochs is None
    changed = recipes.load(small, ["train.epochs=9", "train.budget_s=1"])
    assert (changed.training("net").epochs, changed.training("net").budget_s) == (9, 5)
    assert recipe.region.build().resolve(2).tau.high.tolist() == [2.0, 3.0]
    with pytest.raises(RecipeError, match="expected a model of net"):
        recipe.training("nett")


def test_a_recipe_is_constant(small):
    with pytest.raises(ValueError, match="frozen"):
        recipes.load(small).study.seed = 4


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data.samples=7", lambda r: r.data.samples == 7),
        ("data.noise = 1e-2", lambda r: r.data.noise == 0.01),
        ("data.design=sobol", lambda r: r.data.design == "sobol"),
        ('study.title="a = b"', lambda r: r.study.title == "a = b"),
        ("study.title=a, plain title", lambda r: r.study.title == "a, plain title"),
        ("region.q=[1, 2.5]", lambda r: r.region.q == (1.0, 2.5)),
        ("model.net.width=64", lambda r: r.model[0].options["width"] == 64),
        ("model.width=64", lambda r: r.model[0].options["width"] == 64),
        ("model.0.train.epochs=3", lambda r: r.training("net").epochs == 3),
        ("robot.joint_terms=true", lambda r: r.robot.joint_terms is True),
        ("examine.budget=quick", lambda r: r.examine.budget == "quick"),
    ],
)
def test_settings_are_typed_and_take_their_place(setting, value, small):
    assert value(recipes.load(small, [setting]))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.sampels=7", ["data.sampels", "'samples'"]),
        ("modle.net=7", ["modle", "'model'"]),
        ("model.net.train.epoch=7", ["model.0.train.epoch", "'epochs'"]),
        ("study.nmae=x", ["study.nmae", "'name'"]),
        ("data.samples=many", ["data.samples", "integer", "'many'"]),
        ("data.samples=1.5", ["data.samples", "integer"]),
        ("data.samples=0", ["data.samples", "greater than 0"]),
        ("data.samples=true", ["data.samples", "integer"]),
        ("data.noise=nan", ["data.noise", "finite"]),
        ("train.lr=inf", ["train.lr", "finite"]),
        ("data.design=cube", ["data.design", "'box'", "'cube'"]),
        ("data.validation=0.95", ["nothing left to train on"]),
        ("region.q=[1, -1]", ["region.q", "above zero"]),
        ("region.q={low=1, high=0}", ["region.q", "low < high"]),
        ("region.q=[1, 2, 3]", ["q has 3", "v has 2"]),
        ("study.name=../elsewhere", ["study.name"]),
        ("data.samples.much=1", ["--set data.samples.much=1", "not a table"]),
        ("nonsense", ["key=value"]),
        ("data.=1", ["key=value"]),
    ],
)
def test_what_a_recipe_cannot_say_is_one_line(setting, words, small):
    with pytest.raises(RecipeError) as error:
        recipes.load(small, [setting])
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_model_is_addressed_by_name_among_several(small):
    small.write_text(SMALL + '\n[[model]]\nname = "other"\nkind = "table"\n')
    recipe = recipes.load(small, ["model.other.neighbours=3"])
    assert recipe.model[1].options == {"neighbours": 3}
    with pytest.raises(RecipeError, match="one of net, other"):
        recipes.load(small, ["model.width=3"])
    small.write_text(SMALL + '\n[[model]]\nname = "net"\nkind = "table"\n')
    with pytest.raises(RecipeError, match="'net' twice"):
        recipes.load(small)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (SMALL.replace('name = "small"', ""), "expected study.name, found nothing"),
        (SMALL.replace("[data]\nsamples = 100", ""), "found neither"),
        (SMALL.replace('[robot]\nsource = "double_pendulum"', ""), "expected robot, found nothing"),
        (SMALL.split("[[model]]")[0], "expected model, found nothing"),
        (SMALL.replace("[region]", "[regoin]"), "did you mean 'region'"),
        ("study = ", "not TOML"),
        (SMALL.replace('kind = "mlp"', ""), "model.0.kind"),
        (SMALL.replace("[region]\nq = 1.0", "[region]\nx = 1.0"), "region"),
    ],
)
def test_files_that_are_no_recipe_are_refused(text, match, small):
    small.write_text(text)
    with pytest.raises(RecipeError, match=match):
        recipes.load(small)


def test_a_region_is_required_beside_simulated_data(small):
    head, rest = SMALL.split("[region]")
    small.write_text(head + "[data]" + rest.split("[data]")[1])
    with pytest.raises(RecipeError, match=r"\[region\] beside \[data\]"):
        recipes.load(small)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'double_pendulum'"):
        recipes.load("doubel_pendulum")
    with pytest.raises(RecipeError, match="no file"):
        recipes.load("/nowhere/at/all.toml")


def test_a_robot_beside_its_recipe_is_found_from_anywhere(small, monkeypatch):
    (small.parent / "arm.urdf").write_text("<robot name='arm'/>")
    small.write_text(SMALL.replace('"double_pendulum"', '"arm.urdf"'))
    monkeypatch.chdir("/")
    assert recipes.load(small).robot.source == str(small.parent / "arm.urdf")


def test_recordings_are_split_by_file():
    with pytest.raises(RecipeError, match="in both"):
        recipes.load("real_double_pendulum", ['recording.test=["trajectory_00.csv"]'])
    with pytest.raises(RecipeError, match="odd window"):
        recipes.load("real_double_pendulum", ["recording.smoothing.window=40"])


def test_recipes_and_the_training_loop_know_the_same_options():
    from discover.training.loop import TrainingConfig

    offered = set(Train.model_fields) - {"device", "devices", "budget_s", "tensorboard"}
    assert offered <= {field.name for field in fields(TrainingConfig)}
    assert Train(lr=1e-4, device="cpu").descent == {"lr": 1e-4}


def test_toml_is_written_as_it_is_read(small):
    tables = tomllib.loads(small.read_text())
    tables["study"]["title"] = 'quo"te\\ \n ü\x7f [not.a.table]'
    tables["region"] = {"q": {"low": [-1.0, -1e-9], "high": 1e300}, "v": [1.0, 2.5], "tau": 1.0}
    options = {"odd key.": True, "nested": [[1, 2], [3]], "rows": [{"a": 1}, {"b": [{"w": 1}]}]}
    tables["model"].append({"name": "z", "kind": "mlp", "train": {"epochs": 3}, **options})
    recipe = recipes.Recipe.from_dict(tables)
    read = tomllib.loads(recipe.to_toml())
    assert read == recipe.to_dict()
    assert recipes.Recipe.from_dict(read) == recipe
    assert options.items() <= read["model"][-1].items()


def test_overriding_leaves_the_original_alone():
    tables = {"a": {"b": 1}}
    assert override(tables, ["a.b=2", "c.d=[1]"]) == {"a": {"b": 2}, "c": {"d": [1]}}
    assert tables == {"a": {"b": 1}}


def test_a_setting_cannot_smuggle_in_a_second_key():
    assert override({}, ["a=1\nb = 2"]) == {"a": "1\nb = 2"}
