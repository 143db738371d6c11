"""The encoder of pictures: shapes, groups, what it begins with."""

import pytest
import torch

from anr_core import pretrained
from anr_core.renderer import ResNet, imagenet
from anr_core.renderer.resnet import DEVIATION, MEAN, imagenet_weights


def network(outputs=7, depth=14, width=4, groups=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ResNet(outputs, depth, width, groups)


def pictures(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (128, 96)])
def test_a_picture_of_any_size_becomes_a_vector(size):
    assert network()(pictures(2, 3, *size)).shape == (2, 7)


def test_weights_are_as_many_as_published():
    with torch.device("meta"):
        counts = {depth: sum(p.numel() for p in ResNet(1000, depth).parameters()) for depth in (26, 50)}
    assert counts == {26: 15_995_176, 50: 25_557_032}  # the larger as torchvision's with batch norm


def test_an_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="14, 26, 38, 50"):
        ResNet(7, depth=34)


def test_a_batch_is_seen_as_its_pictures_alone():
    batch, resnet = pictures(3, 3, 48, 40), network()
    torch.testing.assert_close(resnet(batch), torch.cat([resnet(picture[None]) for picture in batch]))


def test_groups_divide_narrow_layers():
    norms = [layer for layer in network(width=12, groups=32).modules()
             if isinstance(layer, torch.nn.GroupNorm)]
    assert {(norm.num_channels, norm.num_groups) for norm in norms} >= {(12, 4), (24, 8), (48, 16), (96, 32)}


def test_pictures_are_normalised_as_imagenet_is():
    resnet, mean = network(), torch.tensor(MEAN)[None, :, None, None].expand(1, 3, 32, 32)
    seen = []
    resnet.trunk[0].register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    resnet(mean)
    resnet(mean + torch.tensor(DEVIATION)[:, None, None])
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 32, 32))
    torch.testing.assert_close(seen[1], torch.ones(1, 3, 32, 32))


def test_every_layer_learns():
    resnet = network()
    image = pictures(2, 3, 64, 64).requires_grad_()
    resnet(image).square().sum().backward()
    assert image.grad.any() and all(parameter.grad.any() for parameter in resnet.parameters())


# what it begins with


def test_it_begins_as_it_is_and_says_so_where_weights_cannot_be_had(monkeypatch, capsys):
    def missing():
        raise ImportError("No module named 'torchvision'")

    monkeypatch.setattr(pretrained, "_import_torchvision", missing)
    imagenet_weights.cache_clear()
    resnet = ResNet(7)
    before = [parameter.clone() for parameter in resnet.parameters()]
    assert not imagenet(resnet) and not imagenet(resnet)
    imagenet_weights.cache_clear()
    assert all(map(torch.equal, before, resnet.parameters()))
    said = "ResNet-50 (ImageNet) is left out: ImportError: No module named 'torchvision'\n"
    assert capsys.readouterr().err == said


def test_torchvisions_weights_find_their_places(monkeypatch):
    try:
        pretrained._import_torchvision()
        from torchvision import models
    except ImportError:
        pytest.skip("torchvision is not installed")
    theirs, mine = models.resnet50(weights=None).eval(), ResNet(1000)
    monkeypatch.setattr(models.ResNet50_Weights, "get_state_dict", lambda *_, **__: theirs.state_dict())
    imagenet_weights.cache_clear()
    assert imagenet(mine)
    imagenet_weights.cache_clear()
    mine.leave.load_state_dict(theirs.fc.state_dict())
    for layers in (mine, theirs):  # without norms both are the same network
        for module in layers.modules():
            for name, child in module.named_children():
                if isinstance(child, torch.nn.GroupNorm | torch.nn.BatchNorm2d):
                    setattr(module, name, torch.nn.Identity())
    image = pictures(1, 3, 64, 64)
    given = (image - mine.mean) / mine.deviation
    torch.testing.assert_close(mine(image), theirs(given), rtol=1e-3, atol=1e-3)


def test_other_sizes_have_no_weights_to_begin_from():
    with pytest.raises(ValueError, match="for 50 and 64"):
        imagenet(network())
