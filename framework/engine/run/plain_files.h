// What a run may consist of. Free of LibTorch.
#pragma once

#include <filesystem>

namespace orrery::engine {

/// Throws orrery::Error, naming it, if anything that Orrery would read or write in the run `root` is neither
/// a plain file nor a folder. A link may lead anywhere: a received run must not change, or show, what lies
/// outside it; and opening a pipe waits for ever. The root itself may be a link.
void refuse_links(const std::filesystem::path& root);

/// The same for the files at the top only, for listing many runs.
void refuse_links_at_top(const std::filesystem::path& root);

}  // namespace orrery::engine
