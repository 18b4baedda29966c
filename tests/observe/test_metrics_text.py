"""Pages of metrics as servers and exporters write them, and the figures read from them."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.samples import GPU, HOST, METRICS, GpuSample
from pytest_llmserve.observe.metrics_text import (
    Page,
    busy_percent,
    gpu_names,
    gpus_of,
    known_lines,
    page_of,
    series_of,
    together,
)

MIB = 1024 * 1024

VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="llama"} 3.0
vllm:num_requests_running{engine="1",model_name="llama"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="llama"} 9.0
vllm:num_requests_waiting{engine="1",model_name="llama"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="llama",reason="capacity"} 9.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="llama"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="llama"} 0.5
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="llama"} 0.0
"""
OLD_VLLM = b'vllm:num_requests_running{model_name="m"} 1\nvllm:gpu_cache_usage_perc{model_name="m"} 0.125\n'
SGLANG = b"""\
sglang:num_running_reqs{model_name="m",tp_rank="0"} 4.0
sglang:num_running_reqs{model_name="m",tp_rank="1"} 4.0
sglang:num_queue_reqs{model_name="m"} 3.0
sglang:token_usage{model_name="m"} 0.28
"""
SGLANG_BY_PRIORITY = b"""\
sglang:num_running_reqs{priority="",tp_rank="0"} 14.0
sglang:num_running_reqs{priority="-1",tp_rank="0"} 0.0
sglang:num_running_reqs{priority="0",tp_rank="0"} 14.0
sglang:num_queue_reqs{dp_rank="0"} 1.0
sglang:num_queue_reqs{dp_rank="1"} 2.0
"""
NEW_SGLANG = b'sglang_num_running_reqs{a="b"} 2\nsglang_num_queue_reqs 5\nsglang_token_usage 1\n'
LLAMA_CPP = b"""\
# HELP llamacpp:requests_processing Number of requests processing
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 4
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 4
llamacpp:kv_cache_usage_ratio nan
"""
TGI = b"# TYPE tgi_queue_size gauge\ntgi_queue_size 7\ntgi_batch_current_size 4\n"
TRTLLM = b"""\
trtllm_num_requests_running{engine_type="trtllm"} 6
trtllm_num_requests_waiting{engine_type="trtllm"} 1
trtllm_kv_cache_utilization{engine_type="trtllm",model_name="llama"} 0.62
"""
TRITON = b"""\
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 3
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="context",version="1"} 1
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 5
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.5
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
nv_gpu_utilization{gpu_uuid="GPU-b"} 0.78
nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 1000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"} 4000
nv_gpu_power_usage{gpu_uuid="GPU-b"} 60
"""
DCGM = b"""\
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="n1",pod="x"} 300
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="n1",pod="y"} 300
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="n1"} 100
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="n1"} 87
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="n1"} 61
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a",modelName="NVIDIA H200",Hostname="n1"} 402.5
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-c",modelName="NVIDIA H200",Hostname="n1"} 9223372036854775794
DCGM_FI_DEV_GPU_TEMP{gpu="2",UUID="GPU-c",modelName="NVIDIA H200",Hostname="n1"} 40
"""
MACMON = b"""\
macmon_gpu_temp_celsius{chip="Apple M3 Pro"} 61.5
macmon_gpu_usage_ratio{chip="Apple M3 Pro"} 0.25
macmon_gpu_active_ratio{chip="Apple M3 Pro"} 0.5
macmon_gpu_power_watts{chip="Apple M3 Pro"} 7.5
"""
NODE = b"""\
node_cpu_seconds_total{cpu="0",mode="idle"} 100
node_cpu_seconds_total{cpu="0",mode="iowait"} 10
node_cpu_seconds_total{cpu="0",mode="user"} 40
node_cpu_seconds_total{cpu="1",mode="system"} 50
node_memory_MemAvailable_bytes 2.0608425984e+10
"""


@pytest.mark.parametrize(
    ("body", "running", "waiting", "kv_cache_percent"),
    [
        (VLLM, 7, 11, 50),
        (OLD_VLLM, 1, None, 12.5),
        (SGLANG, 4, 3, 28),
        (SGLANG_BY_PRIORITY, 14, 3, None),
        (NEW_SGLANG, 2, 5, 100),
        (LLAMA_CPP, 4, 4, None),
        (TGI, 4, 7, None),
        (TRTLLM, 6, 1, 62),
        (TRITON, 5, 3, 50),
    ],
    ids=[
        "vllm",
        "older vllm",
        "sglang",
        "priorities",
        "newer sglang",
        "llama.cpp",
        "tgi",
        "trtllm",
        "triton",
    ],
)
def test_each_server_s_names_are_read(body, running, waiting, kv_cache_percent):
    """Engines and models are added up, ranks and priorities not; of shares the highest; NaN is none."""
    expected = {"running": running, "waiting": waiting, "kv_cache_percent": kv_cache_percent}
    told = page_of(body).server
    assert told == pytest.approx({name: value for name, value in expected.items() if value is not None})


def test_only_lines_that_may_matter_are_parsed():
    """Of a page with hundreds of them; a name that only begins like one of ours is dropped behind that."""
    assert len(known_lines(VLLM)) == 7
    assert len(series_of(VLLM)) == 6


def test_gpus_of_an_exporter():
    """DCGM counts in MiB, lists a shared device once for each container, and has a number for "none"."""
    page = page_of(DCGM)
    assert gpus_of([page]) == (
        GpuSample(
            index=0,
            memory_bytes=300 * MIB,
            total_bytes=400 * MIB,
            percent=87,
            temperature_c=61,
            power_w=402.5,
        ),
        GpuSample(index=2, temperature_c=40),
    )
    assert gpu_names([page]) == {0: "NVIDIA H200", 2: "NVIDIA H200"}


def test_gpus_of_two_machines_are_told_apart():
    """Both have a GPU 0; they are numbered anew. So are those that are labelled by their UUID alone."""
    other = page_of(DCGM.replace(b'"n1"', b'"n2"'))
    assert [gpu.index for gpu in gpus_of([page_of(DCGM), other])] == [0, 1, 2, 3]
    triton = GpuSample(index=0, memory_bytes=1000, total_bytes=4000, percent=78, power_w=60)
    assert gpus_of([page_of(TRITON)]) == (triton,)


def test_gpu_of_a_mac():
    """As `macmon serve` tells it: the share of time in which it worked, not that scaled by frequency."""
    page = page_of(MACMON)
    assert gpus_of([page]) == (GpuSample(index=0, percent=50, temperature_c=61.5, power_w=7.5),)
    assert gpu_names([page]) == {0: "Apple M3 Pro"}


def test_the_machine_of_an_exporter():
    """All cores together; waiting for a disk is idle."""
    page = page_of(NODE)
    assert page.cpu_s == (110, 200)
    assert page.available_bytes == 20_608_425_984


@pytest.mark.parametrize(
    ("after", "percent"),
    [
        ((110, 300), 100),
        ((210, 300), 0),
        ((160, 300), 50),
        ((110, 200), None),
        ((5, 10), None),
        ((5, 300), None),
    ],
    ids=["busy", "idle", "half", "no time passed", "started anew", "anew, long ago"],
)
def test_cpu_between_two_readings(after, percent):
    """A counter that began anew tells nothing."""
    assert busy_percent((110, 200), after) == percent


def test_what_a_page_tells_is_known():
    """By source; a page of other things tells nothing."""
    assert page_of(VLLM).tells == {METRICS}
    assert page_of(TRITON).tells == {METRICS, GPU}
    assert page_of(NODE).tells == {HOST}
    assert page_of(b"python_info 1\n<html>\n").tells == set()


def test_servers_behind_one_address_are_taken_together():
    """Their counts are added; of shares the highest."""
    pages = [page_of(SGLANG), page_of(SGLANG), Page(server={"kv_cache_percent": 90.0})]
    assert together(pages) == {"running": 8, "waiting": 6, "kv_cache_percent": 90}


def test_a_line_that_is_not_in_the_form_is_an_error():
    """Not a figure."""
    with pytest.raises(ValueError, match="abc"):
        page_of(b"tgi_queue_size abc\n")
