// A sweep as array jobs of Slurm: scripts that one can read, and submit by hand as well.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"

namespace orrery::engine {

struct SlurmOptions {
  int64_t pack = 1;                    ///< runs a task
  int64_t throttle = 0;                ///< tasks at a time; 0: as many as Slurm likes
  std::string time = {};               ///< of a task, as for sbatch; "": the partition's
  std::string partition = {};          ///< "": the default one
  std::vector<std::string> more = {};  ///< further options of sbatch, each a line: "--mem=4G"
};

/// One array job; those of a later stage are to begin when those before have ended.
struct SlurmScript {
  std::string name, text;
};

/// `program`: the path of orrery; `file`: the sweep's, and `out` its --out, both as this process finds them
/// in `folder`, where the job is to run. Logs go to LOGS/%A_%a.log.
std::vector<SlurmScript> slurm_scripts(const SweepPlan& plan, const std::string& program,
                                       const std::string& file, const std::string& out,
                                       const std::filesystem::path& folder, const std::filesystem::path& logs,
                                       const SlurmOptions& options);

/// `sbatch --parsable --dependency=afterany:AFTER SCRIPT`, quoted for the shell; `after`: the job that has to
/// end first, "" if there is none.
std::string submit_command(const std::filesystem::path& script, const std::string& after);

}  // namespace orrery::engine
