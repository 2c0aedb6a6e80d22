#pragma once

#include <filesystem>

/// Writes the sweep FOLDER/set by hand, with values that the tests know: three decays, two moduli, four
/// seeds. With decay 0.1 nothing groks, else run i does at step 100 + 10 i; test/loss falls to 1 / (i + 1).
/// The last run is missing, the one before diverged, run 9 was stopped at step 200, and run 8 has a report.
void make_sweep(const std::filesystem::path& folder);
