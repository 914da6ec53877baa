"""How long programs take that people wrote for plain NumPy: as they stand, jitted, and under Numba where it can."""

from .classics.everything import PROGRAMS


class Classics:
    """One call after the first, at the large size."""

    params = (["tracejit", "numba", "numpy"], list(PROGRAMS))
    param_names = ("engine", "program")
    timeout = 300

    def setup(self, engine, name):
        program = PROGRAMS[name]
        self.arguments = program.make(program.large)
        self.call = program.function
        if engine == "tracejit":
            import tracejit  # the other columns are measured without it

            self.call = tracejit.jit(program.function)
        elif engine == "numba":
            if not program.numba:
                raise NotImplementedError("Numba does not take this function as it stands")
            import numba  # likewise

            self.call = numba.njit(program.function)
        self.call(*self.arguments)

    def time_call(self, engine, name):
        self.call(*self.arguments)
