"""Rules: 10 s epochs in; episodes, flags, prompts and suppressions out. `coaching.rule_engine` builds the engine."""
