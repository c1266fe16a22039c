"""From samples to what a second tells: grouping by UTC second, movement, displacement."""
