"""The reference networks in PyTorch, layer for layer those of src/train/networks. Imported by the scripts beside it and by
scripts/fixtures_networks.py; modules are registered in the order of the layers."""
import torch
import torch.nn.functional as F
from torch import nn


class Classes:
    """Softmax cross-entropy towards a class a sample, averaged over the batch."""

    def __init__(self, count):
        self.count = count

    def draw(self, batch, device=None):
        return torch.randint(0, self.count, (batch,), device=device)

    def loss(self, result, wanted):
        return F.cross_entropy(result, wanted)


class Images:
    """Mean squared error towards an image a sample, averaged over all elements."""

    def __init__(self, *extents):
        self.extents = extents

    def draw(self, batch, device=None):
        return torch.rand(batch, *self.extents, device=device)

    def loss(self, result, wanted):
        return F.mse_loss(result, wanted)


class Mnist(nn.Sequential):
    """Apple's sample network: weights start uniform in +-0.2, biases at 0.1."""
    batch, extents, target = 40, (1, 28, 28), Classes(10)

    def __init__(self):
        super().__init__(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(7 * 7 * 64, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 10))
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.uniform_(parameter, -0.2, 0.2)
            else:
                nn.init.constant_(parameter, 0.1)


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    batch, extents, target = 64, (3, 32, 32), Classes(10)

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.blocks = nn.Sequential(*[ResidualBlock(i, o, 1 if i == o else 2) for i, o in zip(widths, widths[1:])])
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        return self.fc(self.blocks(F.relu(self.norm(self.conv(x)))).mean((2, 3)))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.norm1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


class ResNet50(nn.Module):
    """The form of torchvision: the stride lies in the 3 x 3 convolution."""
    batch, extents, target = 128, (3, 224, 224), Classes(1000)

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        blocks, channels = [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            for index in range(count):
                blocks.append(Bottleneck(channels, 64 << stage, 2 if stage > 0 and index == 0 else 1))
                channels = 256 << stage
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x):
        return self.fc(self.blocks(self.pool(F.relu(self.norm(self.conv(x))))).mean((2, 3)))


class StyleBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 3, 1, 1), nn.InstanceNorm2d(channels, affine=True)
        self.conv2, self.norm2 = nn.Conv2d(channels, channels, 3, 1, 1), nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x):
        return x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))


class Style(nn.Sequential):
    batch, extents, target = 2, (3, 256, 256), Images(3, 256, 256)

    def __init__(self):
        def normalized(inputs, outputs, kernel, stride=1):
            return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()]

        super().__init__(*normalized(3, 32, 9), *normalized(32, 64, 3, 2), *normalized(64, 128, 3, 2),
                         *[StyleBlock(128) for _ in range(5)],
                         nn.Upsample(scale_factor=2), *normalized(128, 64, 3),
                         nn.Upsample(scale_factor=2), *normalized(64, 32, 3),
                         nn.Conv2d(32, 3, 9, 1, 4), nn.Sigmoid())


class Yolo(nn.Sequential):
    batch, extents, target = 8, (3, 416, 416), Images(90, 13, 13)

    def __init__(self):
        layers, inputs = [], 3
        for index, outputs in enumerate((16, 32, 64, 128, 256, 512, 1024, 1024)):
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1)]
            if index < 5:
                layers.append(nn.MaxPool2d(2))
            inputs = outputs
        super().__init__(*layers, nn.Conv2d(inputs, 90, 1))


NETWORKS = {"mnist": Mnist, "resnet18": ResNet18, "resnet50": ResNet50, "style": Style, "yolo": Yolo}
