"""Planted faults. Each is one file and one row of the table; nothing is imported until it is switched on."""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "slow_tail": "pytest_llmserve.simulator.faults.slow_tail:SlowTail",
    "slow_decay": "pytest_llmserve.simulator.faults.slow_decay:SlowDecay",
    "startup_errors": "pytest_llmserve.simulator.faults.startup_errors:StartupErrors",
    "error_bursts": "pytest_llmserve.simulator.faults.error_bursts:ErrorBursts",
    "stall": "pytest_llmserve.simulator.faults.stall:Stall",
    "truncated_stream": "pytest_llmserve.simulator.faults.truncated_stream:TruncatedStream",
    "error_in_stream": "pytest_llmserve.simulator.faults.error_in_stream:ErrorInStream",
    "crlf_stream": "pytest_llmserve.simulator.faults.crlf_stream:CrlfStream",
    "many_tokens_per_chunk": "pytest_llmserve.simulator.faults.many_tokens_per_chunk:ManyTokensPerChunk",
    "empty_role_chunk": "pytest_llmserve.simulator.faults.empty_role_chunk:EmptyRoleChunk",
    "missing_usage": "pytest_llmserve.simulator.faults.missing_usage:MissingUsage",
    "missing_end_mark": "pytest_llmserve.simulator.faults.missing_end_mark:MissingEndMark",
    "wrong_length": "pytest_llmserve.simulator.faults.wrong_length:WrongLength",
    "reset": "pytest_llmserve.simulator.faults.reset:Reset",
    "hang_on_empty": "pytest_llmserve.simulator.faults.hang_on_empty:HangOnEmpty",
    "error_500_on_nul": "pytest_llmserve.simulator.faults.error_500_on_nul:Error500OnNul",
    "crash_on_oversize": "pytest_llmserve.simulator.faults.crash_on_oversize:CrashOnOversize",
    "float_parameter_crash": "pytest_llmserve.simulator.faults.float_parameter_crash:FloatParameterCrash",
    "leak": "pytest_llmserve.simulator.faults.leak:Leak",
    "leak_prompts": "pytest_llmserve.simulator.faults.leak_prompts:LeakPrompts",
    "leak_child": "pytest_llmserve.simulator.faults.leak_child:LeakChild",
    "bounded_cache": "pytest_llmserve.simulator.faults.bounded_cache:BoundedCache",
    "swapped_answers": "pytest_llmserve.simulator.faults.swapped_answers:SwappedAnswers",
    "canary_bleed": "pytest_llmserve.simulator.faults.canary_bleed:CanaryBleed",
    "system_prompt_bleed": "pytest_llmserve.simulator.faults.system_prompt_bleed:SystemPromptBleed",
    "slot_lost_on_disconnect": "pytest_llmserve.simulator.faults.slot_lost_on_disconnect:SlotLost",
    "out_of_memory_log": "pytest_llmserve.simulator.faults.out_of_memory_log:OutOfMemoryLog",
    "deadlock": "pytest_llmserve.simulator.faults.deadlock:Deadlock",
}
"""Name for `--fault` -> where its class lies."""
