"""Several processes that train one avatar: as one with so many times the batch, none without the others."""

import os
import shutil
import signal
from functools import partial

import pytest
import safetensors.torch
import torch
from torch import distributed, nn

from anr_core import losses
from anr_core.avatars import configure
from anr_core.avatars.run import write_atomically
from anr_core.cli import main
from anr_core.launch import ALONE, Place, first_machine, launched, started
from anr_core.processes import average_gradients, own, together
from anr_core.renderer import BlockUNet
from anr_core.training import loop
from anr_core.training.consecutive import Consecutive
from anr_core.training.rays import Rays
from anr_core.training.windows import Windows
from tests.posed_capture import make_posed_capture
from tests.several import alone, in_processes, trained

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
POSED = {"size": 64, "window": 64, "batch": 2, "texture_size": 64, "width": 4, "levels": 2, "features": 4,
         "refine_from": 0}
SYSTEMS = {
    "anr": ("anr", TINY | {"adversary": 0.01, "structure": 0.1}),
    "smplpix": ("smplpix", TINY | {"levels": 2, "adversary": 0.01}),
    # its own rate is so high at first that roundings grow a hundredfold in three steps
    "gaussian": ("gaussian", POSED | {"encoder_width": 4, "encoder_depth": 14, "source_size": 64,
                                      "lifter_width": 64, "course": "pose, pictures, adversary",
                                      "adversary": 1.0, "rate": 1e-4}),
    # likewise: at its own roundings grow to a twentieth of what six steps change
    "neural-body": ("neural-body", {"size": 48, "batch": 2, "texture_size": 64, "width": 4, "hidden": 16,
                                    "latent": 8, "voxel": 0.03, "samples": 20, "rays": 64,
                                    "refine_from": 0, "rate": 2e-4}),
    "dynamic-texture": ("dynamic-texture", POSED | {"generator_width": 4, "generator_depth": 1,
                                                    "chart_size": 16, "made_up": 2, "skeleton": "coco23",
                                                    "adversary": 0.1}),
}


def doubled(config):
    return config | {"batch": 2 * config["batch"]}


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


def weights(run):
    return {file.relative_to(run): safetensors.torch.load_file(file)
            for file in sorted(run.rglob("checkpoint.safetensors"))}


def avatar_bytes(run):
    return (run / "checkpoint.safetensors").read_bytes()


def assert_alike(one, other, within=1e-5):
    assert one.keys() == other.keys() and one
    for file, tensors in one.items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(other[file][name], tensor, rtol=0, atol=within,
                                       msg=lambda told, place=f"{file}: {name}": f"{place}: {told}")


# two processes are one


@pytest.mark.parametrize("system", [
    "anr", *(pytest.param(name, marks=pytest.mark.slow) for name in SYSTEMS if name != "anr")])
def test_two_processes_come_to_what_one_with_the_doubled_batch_does(system, small_capture, posed, tmp_path):
    name, config = SYSTEMS[system]
    capture = small_capture if system in ("anr", "smplpix") else posed
    six = partial(trained, steps=6)
    one = alone(six, capture, tmp_path / "one", name, doubled(config))
    both = in_processes(six, capture.path, tmp_path / "two", name, config)
    slow = system == "neural-body"  # whose weights move a tenth as far
    assert_alike(weights(tmp_path / "one"), weights(tmp_path / "two"), within=1e-6 if slow else 1e-5)
    for seen in both:  # each of them knows the losses of the whole batch
        for step, other in zip(one, seen, strict=True):
            assert other.losses == pytest.approx(step.losses, rel=1e-3, abs=1e-6)


def test_people_who_share_renderers_come_to_the_same(small_capture, tmp_path):
    captures = [small_capture.path, shutil.copytree(small_capture.path, tmp_path / "other")]
    six = partial(trained, steps=6)
    alone(six, captures, tmp_path / "one", "anr", doubled(TINY))
    in_processes(six, captures, tmp_path / "two", "anr", TINY)
    assert len(weights(tmp_path / "one")) == 2
    assert_alike(weights(tmp_path / "one"), weights(tmp_path / "two"))


def _normed(rows):
    """Gradients and statistics of a network with batch norm, of this process's rows of a batch."""
    torch.manual_seed(0)
    network, weight = BlockUNet(3, 3, 4, 2, "batch"), torch.rand(4, 1, 8, 8)
    pictures = torch.randn(4, 3, 8, 8)[rows]
    drawn = network(pictures)
    losses.weighted_mean(drawn.square(), weight[rows]).backward()
    return network


def _normed_together():
    place = started()
    distributed.init_process_group("gloo")
    with together(place):
        network = _normed(slice(2 * place.rank, 2 * place.rank + 2))
    average_gradients(network.parameters(), torch.zeros(1), place)
    return {name: parameter.grad for name, parameter in network.named_parameters()}, \
        {name: buffer.clone() for name, buffer in network.named_buffers()}


def test_batch_norm_and_weighted_means_are_those_of_the_whole_batch():
    network = _normed(slice(0, 4))
    wanted = {name: parameter.grad for name, parameter in network.named_parameters()}, \
        dict(network.named_buffers())
    for found in in_processes(_normed_together):
        for one, other in zip(wanted, found, strict=True):
            for name in one:
                torch.testing.assert_close(other[name], one[name], rtol=1e-4, atol=1e-6, msg=name)


def _averaged():
    place = started()
    distributed.init_process_group("gloo")
    everywhere, somewhere, nowhere = (nn.Parameter(torch.ones(2)) for _ in range(3))
    everywhere.grad = torch.full((2,), 1.0 + place.rank)
    if place.rank:
        somewhere.grad = torch.full((2,), 3.0)
    told = average_gradients((everywhere, somewhere, nowhere), torch.tensor([place.rank, 5.0]), place)
    return everywhere.grad, somewhere.grad, nowhere.grad, told


def test_a_gradient_that_is_missing_in_one_process_counts_as_zero_and_in_all_stays_missing():
    for everywhere, somewhere, nowhere, told in in_processes(_averaged):
        assert everywhere.tolist() == [1.5, 1.5] and somewhere.tolist() == [1.5, 1.5]
        assert nowhere is None and told == [0.5, 5.0]


def test_each_process_draws_what_its_rows_have_in_the_whole_batch():
    torch.manual_seed(3)
    whole, after = own(torch.rand, 6), torch.get_rng_state()
    for rank in range(3):
        torch.manual_seed(3)
        with together(Place(rank, 3)):
            assert torch.equal(own(torch.rand, 2), whole[2 * rank:2 * rank + 2])
        assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("draws", ["view", "consecutive", "rays"])
def test_batches_are_dealt_to_processes_row_by_row(draws, posed):
    def dealt(batch, place):
        config = configure(system="neural-body", batch=batch, size=48, window=32, rays=32)
        views = [posed.views(crop="body", size=48) if draws == "rays" else posed.views(crop="loose")]
        kind = {"view": Windows, "consecutive": Consecutive, "rays": Rays}[draws]
        return kind(views, config, range(3), place=place)[2]

    whole, parts = dealt(8, ALONE), [dealt(4, Place(rank, 2)) for rank in range(2)]
    if draws == "consecutive":  # frames before, then those after
        order = [0, 1, 4, 5, 2, 3, 6, 7]
    else:
        order = list(range(8))
    assert torch.equal(torch.cat([part.image for part in parts]), whole.image[order])
    assert torch.equal(torch.cat([part.camera.K for part in parts]), whole.camera.K[order])
    assert [frame for part in parts for frame in part.frame.tolist()] == whole.frame[order].tolist()


# going on


def _dies_after(last, steps, capture, run, system, config, ranks=(0, 1)):
    """Train, saving after each step, up to one at which the system ends those of the processes."""
    loop.SAVES, average = 0, loop.average

    def kills(averaged, avatars, step):
        average(averaged, avatars, step)
        if step == last and started().rank in ranks:
            os.kill(os.getpid(), signal.SIGKILL)

    loop.average = kills
    return trained(capture, run, system, config, steps=steps)


def test_processes_that_were_killed_end_in_the_same_bytes(small_capture, tmp_path):
    config = TINY | {"adversary": 0.01}
    in_processes(partial(trained, steps=6), small_capture.path, tmp_path / "whole", "anr", config)
    ended = in_processes(_dies_after, 5, 6, small_capture.path, tmp_path / "run", "anr", config)
    assert ended == [-signal.SIGKILL] * 2
    steps, _ = in_processes(partial(trained, steps=6), small_capture.path, tmp_path / "run", "anr", config)
    assert [step.step for step in steps] == [5, 6]
    assert avatar_bytes(tmp_path / "run") == avatar_bytes(tmp_path / "whole")


def test_another_number_of_processes_goes_on_with_a_run(small_capture, tmp_path):
    run = tmp_path / "run"
    trained(small_capture, run, "anr", TINY, steps=2)
    in_processes(partial(trained, steps=4), small_capture.path, run, "anr", TINY)
    assert trained(small_capture, run, "anr", TINY, steps=5)[-1].step == 5
    assert torch.load(run / "training.pt", weights_only=True)["pictures"] == 2 * (2 + 2 * 2 + 1)


def test_minutes_end_all_processes_at_the_same_step(small_capture, tmp_path):
    both = in_processes(partial(trained, minutes=0.01), small_capture.path, tmp_path / "run", "anr", TINY)
    assert both[0][-1].step == both[1][-1].step and both[0][-1].fraction == 1


def test_a_folder_that_only_the_first_process_sees_is_enough(small_capture, tmp_path):
    both = in_processes(_apart, small_capture.path, tmp_path)
    assert both[0][-1].losses == both[1][-1].losses
    assert (tmp_path / "0" / "checkpoint.safetensors").is_file() and not (tmp_path / "1").exists()


def _apart(capture, folder):
    return trained(capture, folder / os.environ["RANK"], "anr", TINY, steps=3)


# what goes wrong


def test_a_process_whose_other_died_says_so_and_ends(small_capture, tmp_path):
    left, died = in_processes(_dies_after, 3, 50, small_capture.path, tmp_path / "run", "anr", TINY, (1,))
    assert died == -signal.SIGKILL
    assert left.startswith("ValueError: Another process of this training has ended")
    assert "go on with the same command" in left and "\n" not in left


def _diverging(*arguments):
    l1 = losses.mse
    if started().rank == 1:
        losses.mse = lambda *pictures: l1(*pictures) * float("nan")
    return trained(*arguments, steps=3)


def test_what_diverges_in_one_process_stops_all_of_them(small_capture, tmp_path):
    both = in_processes(_diverging, small_capture.path, tmp_path / "run", "anr", TINY)
    assert all(told.startswith("ValueError: The training diverged at step 1, at ") for told in both)


def test_what_the_first_process_refuses_all_refuse(small_capture, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    both = in_processes(partial(trained, steps=1), small_capture.path, tmp_path / "run", "anr", TINY)
    assert all(told.startswith("Alike:") and "not a run" in told for told in both)


def test_of_errors_that_all_have_the_first_process_speaks_alone(tmp_path, monkeypatch, capsys):
    for rank, said in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert main(["train", str(tmp_path / "none"), str(tmp_path / "run")]) == 2
        assert capsys.readouterr().err.count("Error:") == said


def test_several_processes_make_no_capture_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", str(tmp_path / "none"), str(tmp_path / "run"), "--data_url", str(tmp_path)]) == 2
    assert "anr_core prepare" in capsys.readouterr().err


def test_started_beside_others_a_command_that_does_not_train_is_alone(tmp_path, monkeypatch, capsys):
    """As srun -n 8 starts eight evaluations: each speaks and writes."""
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    assert main(["evaluate", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("Error: ") == 1
    write_atomically(tmp_path / "figures.json", b"{}")
    assert (tmp_path / "figures.json").read_bytes() == b"{}"


def test_unlike_numbers_of_processes_are_told_in_one_line_and_hinder_no_other_command(tmp_path, monkeypatch,
                                                                                      capsys):
    for name, value in (SRUN | {"SLURM_STEP_NUM_NODES": "3"}).items():
        monkeypatch.setenv(name, value)
    for command, told in (["train", "--ntasks-per-node"], ["evaluate", "is not a run"]):
        assert main([command, str(tmp_path / "none"), *([str(tmp_path)] if command == "train" else [])]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and told in said


# who is who


SRUN = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "5", "SLURM_LOCALID": "1",
        "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "gpu[03-04]", "SLURM_JOB_ID": "123"}


def test_what_srun_says_is_told_as_torchrun_does():
    found = launched(SRUN)
    assert found.items() >= {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
                             "GROUP_RANK": "1", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "gpu03"}.items()
    other = launched(SRUN | {"SLURM_PROCID": "0", "SLURM_NODEID": "0"})
    assert other["MASTER_PORT"] == found["MASTER_PORT"] and 1024 < int(found["MASTER_PORT"]) < 32768


@pytest.mark.parametrize("environ", [
    {}, {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, SRUN | {"SLURM_STEP_NUM_TASKS": "1"},
], ids=["a shell", "a batch script that starts no srun", "srun of one"])
def test_a_process_that_nobody_started_together_with_others_is_alone(environ):
    assert launched(environ)["WORLD_SIZE"] == "1"


def test_unlike_numbers_of_processes_on_machines_are_refused():
    with pytest.raises(ValueError, match="8 processes on 3 machines.*--ntasks-per-node"):
        launched(SRUN | {"SLURM_STEP_NUM_NODES": "3"})


@pytest.mark.parametrize("machines, first", [("gpu[03-05,9],big1", "gpu03"), ("node7", "node7"),
                                             ("a,b", "a"), ("n[12]", "n12"), ("", "127.0.0.1")])
def test_the_first_machine_is_found_in_slurms_list(machines, first):
    assert first_machine(machines) == first
