"""The explorer: drag the weight and the capacity, and watch. State, computation and widgets, a file each."""
