"""Which metrics are known, and which figure each of them tells. A new name is a row."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024

RUNNING, WAITING, KV_CACHE = "running", "waiting", "kv_cache_percent"


class Known(NamedTuple):
    """A metric of a model server.

    Attributes:
        server: which one, for documents.
        name: as it stands on the page.
        field: of `ResourceSample`.
        factor: the figure is the metric times this.
        only: label and value of the series that count; None = all.
    """

    server: str
    name: str
    field: str
    factor: float = 1
    only: tuple[str, str] | None = None


TRITON_REQUESTS = "nv_trt_llm_request_metrics"

SERVERS: tuple[Known, ...] = (
    Known("vLLM", "vllm:num_requests_running", RUNNING),
    Known("vLLM", "vllm:num_requests_waiting", WAITING),
    Known("vLLM", "vllm:kv_cache_usage_perc", KV_CACHE, 100),
    Known("vLLM, older", "vllm:gpu_cache_usage_perc", KV_CACHE, 100),
    Known("SGLang", "sglang:num_running_reqs", RUNNING),
    Known("SGLang", "sglang:num_queue_reqs", WAITING),
    Known("SGLang", "sglang:token_usage", KV_CACHE, 100),
    Known("SGLang", "sglang_num_running_reqs", RUNNING),
    Known("SGLang", "sglang_num_queue_reqs", WAITING),
    Known("SGLang", "sglang_token_usage", KV_CACHE, 100),
    Known("llama.cpp", "llamacpp:requests_processing", RUNNING),
    Known("llama.cpp", "llamacpp:requests_deferred", WAITING),
    Known("llama.cpp, older", "llamacpp:kv_cache_usage_ratio", KV_CACHE, 100),
    Known("TGI", "tgi_batch_current_size", RUNNING),
    Known("TGI", "tgi_queue_size", WAITING),
    Known("TensorRT-LLM", "trtllm_num_requests_running", RUNNING),
    Known("TensorRT-LLM", "trtllm_num_requests_waiting", WAITING),
    Known("TensorRT-LLM", "trtllm_kv_cache_utilization", KV_CACHE, 100),
    Known("Triton with TensorRT-LLM", TRITON_REQUESTS, RUNNING, 1, ("request_type", "scheduled")),
    Known("Triton with TensorRT-LLM", TRITON_REQUESTS, WAITING, 1, ("request_type", "waiting")),
    Known(
        "Triton with TensorRT-LLM",
        "nv_trt_llm_kv_cache_block_metrics",
        KV_CACHE,
        100,
        ("kv_cache_block_type", "fraction"),
    ),
)
"""Of several names for one figure, the first that is on the page counts.

Sources: docs.vllm.ai "Production Metrics"; docs.sglang.io "Production Metrics" (newer releases may write `_`
for `:`); llama.cpp tools/server/README.md; huggingface.co text-generation-inference "Metrics";
TensorRT-LLM and its Triton backend as the gateway API's inference extension names them.
"""

REPLICAS = frozenset({"tp_rank", "pp_rank", "moe_ep_rank"})
"""Labels of processes that work on the same requests and each tell all of them: not to be added up."""

USED, FREE, RESERVED, TOTAL = "used", "free", "reserved", "total"
PERCENT, TEMPERATURE, POWER = "percent", "temperature_c", "power_w"

DEVICES: dict[str, tuple[str, float]] = {
    "DCGM_FI_DEV_FB_USED": (USED, MIB),
    "DCGM_FI_DEV_FB_FREE": (FREE, MIB),
    "DCGM_FI_DEV_FB_RESERVED": (RESERVED, MIB),
    "DCGM_FI_DEV_FB_TOTAL": (TOTAL, MIB),
    "DCGM_FI_DEV_GPU_UTIL": (PERCENT, 1),
    "DCGM_FI_DEV_GPU_TEMP": (TEMPERATURE, 1),
    "DCGM_FI_DEV_POWER_USAGE": (POWER, 1),
    "nv_gpu_memory_used_bytes": (USED, 1),
    "nv_gpu_memory_total_bytes": (TOTAL, 1),
    "nv_gpu_utilization": (PERCENT, 100),
    "nv_gpu_power_usage": (POWER, 1),
    "macmon_gpu_active_ratio": (PERCENT, 100),
    "macmon_gpu_usage_ratio": (PERCENT, 100),
    "macmon_gpu_temp_celsius": (TEMPERATURE, 1),
    "macmon_gpu_power_watts": (POWER, 1),
}
"""Metric of a GPU -> what it tells, and the factor: DCGM exporter (MiB, percent, W), Triton, `macmon serve`.

Where two tell one thing the higher counts: macmon's older `usage` is its `active`, scaled down by frequency.
"""

DCGM_BLANK = 2147483632
"""DCGM's least "no value" (dcgm_structs.h, DCGM_INT32_BLANK); those of wider numbers are larger."""

CPU_SECONDS = "node_cpu_seconds_total"
AVAILABLE = "node_memory_MemAvailable_bytes"
IDLE_MODES = frozenset({"idle", "iowait"})
"""Modes of `node_cpu_seconds_total` in which a core does nothing. Both names: node exporter."""

NAMES: tuple[str, ...] = tuple(
    dict.fromkeys([*(known.name for known in SERVERS), *DEVICES, CPU_SECONDS, AVAILABLE])
)
