"""HiGHS on the linear and the mixed integer program of an instance, with what it had found by when.

One thread, as the plan has. The linear program is solved by interior point with crossover: until it ends, nothing that
it says is a bound or a cost. The mixed integer program tells each better solution and its bound as they come.
"""

import math
import time
from typing import Any

import highspy
import numpy as np

from benchmarks.least_cost_world import Found, Instance, program

_INTEGRAL = 1e-6  # so near to a whole number is one
_GAP = 1e-6  # of the mixed integer program: nearer is the optimum


def linear(case: Instance) -> Found:
    """The linear program. Its value is a bound; it is a cost where its solution is in whole units."""
    solver, _ = _loaded(case, integer=False)
    solver.setOptionValue("solver", "ipm")
    began = time.perf_counter()
    solver.run()
    seconds = time.perf_counter() - began
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    value = solver.getInfo().objective_function_value
    solution = np.array(solver.getSolution().col_value)
    whole = np.abs(solution - solution.round()).max() < _INTEGRAL
    told = [(seconds, "bound", value)] + [(seconds, "cost", value)] * bool(whole)
    return Found(value if whole else math.nan, value, seconds, told)


def mixed(case: Instance, seconds_max: float) -> Found:
    """The mixed integer program, for so long at most."""
    solver, size = _loaded(case, integer=True)
    solver.setOptionValue("time_limit", seconds_max)
    solver.setOptionValue("mip_rel_gap", _GAP)
    told: list[tuple[float, str, float]] = []
    best = {"cost": math.inf, "bound": -math.inf}

    def hear(event: Any) -> None:
        out = event.data_out
        for what, figure in (("cost", out.mip_primal_bound), ("bound", out.mip_dual_bound)):
            better = figure < best[what] if what == "cost" else figure > best[what]
            if better and math.isfinite(figure):
                best[what] = figure
                told.append((time.perf_counter() - began, what, figure))

    solver.cbMipImprovingSolution += hear
    solver.cbMipInterrupt += hear
    began = time.perf_counter()
    solver.run()
    seconds = time.perf_counter() - began
    info = solver.getInfo()
    cost = info.objective_function_value if len(solver.getSolution().col_value) == size else math.nan
    told += [(seconds, "cost", cost), (seconds, "bound", info.mip_dual_bound)]
    return Found(cost, info.mip_dual_bound, seconds, [event for event in told if math.isfinite(event[2])])


def _loaded(case: Instance, integer: bool) -> tuple[Any, int]:
    price, matrix, low, high = program(case)
    ships = case.demand.zone.size * case.stock.shape[1]
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = price.size, matrix.shape[0]
    model.col_cost_, model.col_lower_ = price, np.zeros(price.size)
    model.col_upper_ = np.concatenate([np.full(price.size - ships, np.inf), np.ones(ships)])
    model.row_lower_, model.row_upper_ = low, high
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_ = matrix.indptr, matrix.indices
    model.a_matrix_.value_ = matrix.data
    if integer:
        model.integrality_ = [highspy.HighsVarType.kInteger] * price.size
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("threads", 1)
    solver.passModel(model)
    return solver, price.size
