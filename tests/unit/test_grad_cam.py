"""`worker.inference.grad_cam`: closed forms, against autograd through whole networks."""

import pytest
import torch

from worker.inference.grad_cam import local_evidence_grad_cam, mean_pooled_grad_cam
from worker.inference.network import LocalEvidenceNet
from worker.inference.single_logit import SingleLogitNet


def by_autograd(features, logits):
    """Grad-CAM as published: weights are the gradient's means over locations."""
    (gradient,) = torch.autograd.grad(logits.sum(), features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).relu().detach()


def scatter(network, seed):
    """Random weights and statistics: as built, biases are zero and logits all alike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
            if isinstance(module, torch.nn.Linear):
                module.weight.normal_(0, 0.1, generator=generator)
    return network.eval()


@pytest.fixture(params=range(3))
def local_evidence(request):
    torch.manual_seed(request.param)
    network = scatter(LocalEvidenceNet(), request.param)
    torch.nn.init.normal_(network.evidence.weight, std=0.5)
    with torch.no_grad():
        network.scale.fill_(1.7)
        network.evidence.bias.fill_(-0.8)
    return network


def evidence_and_grad_cam(network):
    """The network's evidence and autograd's Grad-CAM at the features that the evidence is made of."""
    kept = []
    hook = network.evidence.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    outputs = network(torch.randn(4, 1, 64, 96))
    hook.remove()
    return outputs.evidence.detach(), by_autograd(kept[0], outputs.tumour)


def test_of_the_local_evidence_network_it_is_the_evidence_without_its_bias(local_evidence):
    evidence, expected = evidence_and_grad_cam(local_evidence)
    closed = local_evidence_grad_cam(evidence, local_evidence.evidence.bias, local_evidence.scale).detach()
    assert expected.amax(dim=(1, 2)).min() > 1e-3
    assert (expected == 0).any()
    torch.testing.assert_close(closed, expected, atol=1e-6, rtol=1e-4)


def test_the_shown_evidence_map_is_grad_cam_on_another_scale(local_evidence):
    evidence, cam = evidence_and_grad_cam(local_evidence)
    area = evidence.shape[1] * evidence.shape[2]
    shown = torch.sigmoid(evidence)
    rescaled = torch.sigmoid(local_evidence.evidence.bias + area / local_evidence.scale * cam).detach()
    torch.testing.assert_close(shown[cam > 0], rescaled[cam > 0], atol=1e-4, rtol=0)
    assert (shown[cam == 0] <= torch.sigmoid(local_evidence.evidence.bias) + 1e-4).all()


def grad_cam_both_ways(network, pixels):
    """Logits and Grad-CAM: by autograd through torchvision's own forward pass, and from the head alone."""
    kept = []
    hook = network.backbone.layer4.register_forward_hook(lambda *call: kept.append(call[2]))
    answers = network.backbone(pixels)[:, 0]
    hook.remove()
    with torch.no_grad():
        closed = mean_pooled_grad_cam(network.features(pixels), network.head)
    return (answers.detach(), by_autograd(kept[0], answers)), closed


@pytest.mark.parametrize("seed", range(3))
def test_of_a_mean_pooled_network_it_needs_no_backward_pass_through_the_backbone(seed):
    torch.manual_seed(seed)
    network = scatter(SingleLogitNet(), seed)
    pixels = torch.randn(4, 3, 96, 64)
    hottest = 0.0
    for _ in range(2):
        (answers, expected), (logits, cam) = grad_cam_both_ways(network, pixels)
        torch.testing.assert_close(logits, answers, atol=1e-4, rtol=0)
        torch.testing.assert_close(cam, expected, atol=1e-4, rtol=0)
        hottest = max(hottest, float(cam.max()))
        with torch.no_grad():  # the opposite logit: where one map is empty, the other is not
            network.backbone.fc[-1].weight.neg_()
    assert hottest > 0.1


def test_rows_do_not_disturb_each_other():
    features = torch.rand(3, 512, 7, 7)
    network = scatter(SingleLogitNet(), 0)
    _, together = mean_pooled_grad_cam(features, network.head)
    alone = torch.cat([mean_pooled_grad_cam(row[None], network.head)[1] for row in features])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
