"""The workflows: plain functions, without a word about queues."""
