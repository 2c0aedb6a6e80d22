#include "engine/sweep/slurm.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/sweep/sweep_commands.h"

namespace orrery::engine {
namespace {

// A stretch of runs of one stage: they follow each other in the plan.
struct Stretch {
  std::string stage;
  size_t begin = 0, n = 0;
};

std::vector<Stretch> stretches(const SweepPlan& plan) {
  std::vector<Stretch> found;
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    const std::string& stage = plan.runs[i].point.stage;
    if (found.empty() || found.back().stage != stage) found.push_back({stage, i, 0});
    ++found.back().n;
  }
  return found;
}

// The shell waits for the program in the background, because it would hear of a signal only after it.
constexpr const char* body = R"(
cd {folder} || exit 1
{command} --task --pack {pack} --offset {offset} --requeue-code 75 &
child=$!
# Slurm sends USR1 two minutes before the time is over: the program writes a checkpoint and ends with 75.
trap 'kill -USR1 $child' USR1 TERM
code=0
wait $child || code=$?
while kill -0 $child 2>/dev/null; do code=0; wait $child || code=$?; done
if [ $code -eq 75 ]; then
  # This task alone, not the whole array.
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit $code
)";

// sbatch splits its lines at spaces and expands %; a line break would end a comment.
void refuse_for_sbatch(const std::string& what, const std::string& text,
                       const char* characters = " \t\n\r'\"\\%") {
  const size_t at = text.find_first_of(characters);
  if (at == std::string::npos) return;
  throw UsageError(fmt::format("{}: \"{}\" cannot stand in an #SBATCH line", what, text),
                   "give it a name without spaces, quotes, % and line breaks (--out)");
}

}  // namespace

std::vector<SlurmScript> slurm_scripts(const SweepPlan& plan, const std::string& program,
                                       const std::string& file, const std::string& out,
                                       const std::filesystem::path& folder, const std::filesystem::path& logs,
                                       const SlurmOptions& options) {
  refuse_for_sbatch("the sweep's folder", logs.string());
  refuse_for_sbatch("the sweep's file", file, "\n\r");  // it stands in a comment, and quoted in a command
  for (const std::string& each : options.more) refuse_for_sbatch("--sbatch", each, "\n\r");
  std::vector<SlurmScript> scripts;
  for (const Stretch& stretch : stretches(plan)) {
    const std::string name = plan.file.name + (stretch.stage.empty() ? "" : "-" + stretch.stage);
    const size_t pack = static_cast<size_t>(options.pack), tasks = (stretch.n + pack - 1) / pack;
    std::string text = "#!/bin/bash\n";
    const auto line = [&](const std::string& option) { text += "#SBATCH " + option + "\n"; };
    text +=
        fmt::format("# {} runs of {}, {} a task; made by `orrery sweep submit`.\n", stretch.n, file, pack);
    line("--job-name=" + name);
    line(fmt::format("--array=0-{}{}", tasks - 1,
                     options.throttle > 0 ? fmt::format("%{}", options.throttle) : ""));
    line("--output=" + (logs / "%A_%a.log").string());
    line("--open-mode=append");
    line("--signal=B:USR1@120");
    line("--requeue");
    line("--cpus-per-task=1");
    if (!options.time.empty()) line("--time=" + options.time);
    if (!options.partition.empty()) line("--partition=" + options.partition);
    for (const std::string& each : options.more) line(each);
    const std::string command = shell_word(program) + " sweep run " + shell_word(file) +
                                (out.empty() ? "" : " --out " + shell_word(out));
    text += fmt::format(body, fmt::arg("folder", shell_word(folder.string())), fmt::arg("command", command),
                        fmt::arg("pack", pack), fmt::arg("offset", stretch.begin));
    scripts.push_back({name, text});
  }
  return scripts;
}

std::string submit_command(const std::filesystem::path& script, const std::string& after) {
  return "sbatch --parsable" + (after.empty() ? "" : " --dependency=afterany:" + after) + " " +
         shell_word(script.string());
}

}  // namespace orrery::engine
