"""The ALOHA 2 tasks of CLAMP in google-deepmind/aloha_sim, whose files stay where the user has them (docs/aloha.md).

Scene and arms, tasks and their success rules, the environment; `experts/` has who makes demonstrations. The
environment is `envs.aloha.env:Aloha`.
"""
