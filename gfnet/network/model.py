"""The network, as three functions over an explicit state.

``glance(image) -> (logits, state)``, ``propose(state) -> (action, state)`` and
``focus(patch, state) -> (logits, state)`` are all that training, evaluation, tracing, export and
benchmarks ever call.  Nothing is remembered inside the modules.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gfnet.config import ModelConfig
from gfnet.network.backbones import Encoder, create_encoder
from gfnet.network.classifier import create_classifier
from gfnet.network.patches import crop_patches, patch_origins, resize_glance
from gfnet.network.policy import Policy


def default_device() -> torch.device:
    """Where commands run a network: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class State:
    """What one batch of images carries from step to step.

    Attributes:
        feature_map: [B,C,h,w] of the last encoder call, cut off from the gradient: only the policy reads it.
        feature: [B,D] of the last encoder call.
        memory: the classifier's memory: GRU hidden state [B,H] or all features so far [B,t*D].
        hidden: the policy's memory [B,H].
    """

    feature_map: Tensor
    feature: Tensor
    memory: Tensor
    hidden: Tensor

    def select(self, keep: Tensor) -> State:
        """The state of the images that ``keep`` (bool or index [N]) picks out of the batch."""
        return State(self.feature_map[keep], self.feature[keep], self.memory[keep], self.hidden[keep])


class GFNet(nn.Module):
    """A Glance-and-Focus network (NeurIPS 2020, section 3).

    Inputs are normalised float images.  The weights are random until loaded or trained.

    Raises:
        ConfigError: the backbone is unknown or cannot see patches of this size.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.global_encoder = self._encoder()
        self.local_encoder = self._encoder()
        self.classifier = create_classifier(config, self.local_encoder.feature_dim)
        self.policy = Policy(self.local_encoder.map_shape, config.policy, config.policy_hidden)

    def _encoder(self) -> Encoder:
        config = self.config
        return create_encoder(
            config.arch,
            config.num_classes,
            config.patch_size,
            dropout=config.dropout,
            drop_path=config.drop_path,
        )

    def glance(self, image: Tensor) -> tuple[Tensor, State]:
        """Step 1: the whole image, shrunk.

        Args:
            image: float32 [B,3,P,P], from :meth:`shrink`.

        Returns:
            logits [B,num_classes], and the state that the first proposal starts from.
        """
        feature_map, feature = self.global_encoder(image)
        logits, memory = self.classifier(feature, None)
        if self.config.glance_head == "encoder":
            logits = self.global_encoder.classify(feature)
        return logits, State(feature_map.detach(), feature, memory, self.policy.gru.initial(len(image)))

    def propose(self, state: State) -> tuple[Tensor, State]:
        """Where to look next: the mean action [B,2], (row, col) in [0, 1], and the state with it remembered."""
        action, hidden = self.policy(state.feature_map, state.hidden)
        return action, replace(state, hidden=hidden)

    def focus(self, patch: Tensor, state: State) -> tuple[Tensor, State]:
        """A later step: one patch at full resolution.

        Args:
            patch: float32 [B,3,P,P], from :meth:`crop`.

        Returns:
            logits [B,num_classes], and the state that the next proposal starts from.
        """
        feature_map, feature = self.local_encoder(patch)
        logits, memory = self.classifier(feature, state.memory)
        return logits, State(feature_map.detach(), feature, memory, state.hidden)

    def encoder_answers(self, images: Tensor) -> list[Tensor]:
        """The logits [B,num_classes] of the encoders' own heads on whole images [B,3,S,S].

        The global encoder sees them shrunk, the local one, if there is a step for it, in full.
        """
        views = (self.shrink(images), images)
        return [encoder.classify(encoder(view)[1]) for encoder, view in zip(self.encoders, views, strict=False)]

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """Those that look at something: the global one, and the local one unless there is but one step."""
        return (self.global_encoder, self.local_encoder)[: self.config.steps]

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels [B,3,S,S] in 0 .. 255, any dtype, as the float32 input of the network."""
        mean = torch.tensor(self.config.mean, device=pixels.device).view(1, 3, 1, 1)
        std = torch.tensor(self.config.std, device=pixels.device).view(1, 3, 1, 1)
        return (pixels.float() / 255 - mean) / std

    def shrink(self, images: Tensor) -> Tensor:
        """Whole images [B,3,S,S] as the glance sees them, [B,3,P,P]."""
        return resize_glance(images, self.config.patch_size, self.config.glance_interpolation)

    def crop(self, images: Tensor, action: Tensor) -> Tensor:
        """The patches [B,3,P,P] of images [B,3,S,S] that ``action`` [B,2] points at."""
        origins = patch_origins(action, images.shape[2], self.config.patch_size)
        return crop_patches(images, origins, self.config.patch_size)

    def with_encoders(self, global_encoder: Encoder, local_encoder: Encoder) -> GFNet:
        """This network, its other parts shared, with other encoders."""
        other = copy.copy(self)
        other._modules = {**self._modules, "global_encoder": global_encoder, "local_encoder": local_encoder}
        return other

    @property
    def device(self) -> torch.device:
        return self.policy.gru.bias_hh_l0.device
