import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from voxkit.errors import UserError
from voxkit.nn.quantization import make_aware, plain_names
from voxkit.packed import Layout, Quantization, dequantize, pack_state, parameters, quantize, unpack_state

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

SCHEMES = [
    Quantization(bits=4, rest="float32"),
    Quantization(bits=2, per="channel", symmetric=True, range="mse", rest="float32"),
]


class Recurrent(nn.Module):
    """An LSTM over embeddings; (B, T) -> (B, 2)."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.lstm = nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True, **options)
        self.last = nn.Linear(12 if not options else 6, 2)

    def forward(self, x):
        return self.last(self.lstm(self.embed(x))[0].mean(1))


class Attentive(nn.Module):
    """Torch's own encoder layer, which has a fast path in eval mode; (B, T) -> (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.last = nn.Linear(8, 2)
        self.first = nn.Linear(8, 7)
        self.first.weight = self.embed.weight

    def forward(self, x):
        y = self.layer(self.embed(x))
        return self.last(y.mean(1)) + self.first(y).mean()


class Convolutional(nn.Module):
    """Ordinary, depth-wise, transposed; (B, T) -> (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv1d(12, 12, 3, groups=12, padding=1)
        self.up = nn.ConvTranspose1d(12, 2, 3)

    def forward(self, x):
        y = self.norm(self.conv(x.float().view(-1, 1, 3, 3)))
        return self.up(self.depthwise(y.flatten(1, 2))).mean(2)


MODELS = {
    "lstm": Recurrent,
    "projected lstm": lambda: Recurrent(proj_size=3),
    "attention": Attentive,
    "convolutions": Convolutional,
}


def made(name: str) -> nn.Module:
    torch.manual_seed(3)
    return MODELS[name]()


def inputs() -> torch.Tensor:
    return torch.randint(0, 7, (3, 9), generator=torch.Generator().manual_seed(1))


def stored(model: nn.Module, scheme: Quantization) -> dict[str, torch.Tensor]:
    layout = Layout.of(model.state_dict(), parameters(model), scheme)
    packed, exact = pack_state(model.state_dict(), layout)
    return unpack_state(packed, layout, exact)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", MODELS)
def test_an_aware_model_computes_what_the_packed_one_does(name, scheme):
    model = made(name)
    aware = make_aware(copy.deepcopy(model), scheme).eval()
    loaded = made(name).eval()
    full = loaded(inputs())
    loaded.load_state_dict(stored(model, scheme))
    assert torch.equal(aware(inputs()), loaded(inputs()))
    assert not torch.allclose(aware(inputs()), full)


def test_with_half_precision_it_is_close():
    model = made("convolutions")
    aware = make_aware(copy.deepcopy(model), Quantization(bits=4)).eval()
    loaded = made("convolutions").eval()
    loaded.load_state_dict(stored(model, Quantization(bits=4)))
    torch.testing.assert_close(aware(inputs()), loaded(inputs()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_that_at_the_quantized_weights(name):
    model, scheme = made(name), SCHEMES[0]
    aware = make_aware(copy.deepcopy(model), scheme)
    image = copy.deepcopy(model)
    with torch.no_grad():
        for weight, first in parameters(image).items():
            if weight == first:
                tensor = image.get_parameter(weight)
                tensor.copy_(dequantize(quantize(tensor, scheme)))
    for each in (aware, image):
        each.eval()(inputs()).square().sum().backward()
    mine = plain_names(dict(aware.named_parameters()))
    for weight, parameter in image.named_parameters():
        assert torch.equal(mine[weight].grad, parameter.grad), weight


@pytest.mark.parametrize("name", MODELS)
def test_training_moves_the_shadow_weights_and_the_images_follow(name):
    model = make_aware(made(name).to("cpu"), SCHEMES[0]).to(torch.float32)  # `.to` rebuilds what an LSTM keeps
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    shadows = {name: p for name, p in model.named_parameters() if name.endswith(".original")}
    before = {name: shadow.detach().clone() for name, shadow in shadows.items()}
    first = model.eval()(inputs())
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(inputs()).square().mean().backward()
        optimizer.step()
    assert not [name for name in shadows if torch.equal(before[name], shadows[name])]
    assert not torch.allclose(model.eval()(inputs()), first)
    assert len(list(model.parameters())) == len(list(made(name).parameters()))


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_independent_and_states_travel(name):
    aware = make_aware(made(name), SCHEMES[0]).eval()
    aware(inputs()).sum().backward()
    twin = copy.deepcopy(aware)
    assert torch.equal(twin(inputs()), aware(inputs()))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(-0.5)
    assert not torch.equal(twin(inputs()), aware(inputs()))
    twin.load_state_dict(aware.state_dict(), strict=True)
    assert torch.equal(twin(inputs()), aware(inputs()))


@pytest.mark.parametrize("name", MODELS)
def test_names_go_there_and_back(name):
    model = made(name)
    plain = model.state_dict()
    aware = make_aware(copy.deepcopy(model), SCHEMES[0]).state_dict()
    assert aware.keys() != plain.keys()
    back = plain_names(aware)
    assert back.keys() == plain.keys()
    assert all(torch.equal(back[key], plain[key]) for key in plain)


def test_tied_weights_stay_tied():
    aware = make_aware(made("attention"), SCHEMES[0])
    originals = [layer.parametrizations.weight.original for layer in (aware.embed, aware.first)]
    assert originals[0] is originals[1]
    twin = copy.deepcopy(aware)
    assert twin.embed.parametrizations.weight.original is twin.first.parametrizations.weight.original


def test_what_is_kept_is_not_touched_and_sizes_differ():
    scheme = Quantization(bits=4, keep=("embed.*",), bits_of={"last.*": 2}, rest="float32")
    model = make_aware(made("lstm"), scheme)
    assert not parametrize.is_parametrized(model.embed)
    assert len(model.last.weight.unique()) <= 4 < len(model.lstm.weight_hh_l0.unique()) <= 16
    with pytest.raises(UserError, match="no weight of the model"):
        make_aware(made("lstm"), Quantization(keep=("nothing",)))


def test_a_weight_that_is_computed_already_is_refused():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3)))
    with pytest.raises(UserError, match=r"0\.parametrizations\.weight: its weight is computed"):
        make_aware(model, Quantization())
