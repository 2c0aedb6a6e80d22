// Private to the import room: what is found in the place of a file of weights. Free of LibTorch.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace orrery::engine {

/// Throws orrery::UsageError, opening with `where`, that names what the file is if it is a Git LFS pointer, a
/// web page, compressed, an archive of files, or a file of another framework.
void refuse_other_things(std::span<const std::byte> bytes, const std::string& where);

/// Throws orrery::Error, opening with `where`, if a binary file went through a program that took it for text:
/// its line ends were changed, or its bytes were replaced by U+FFFD, or UTF-8 was made of them. Only for
/// files that cannot be read: a sound file may hold such bytes, too.
void refuse_text(std::span<const std::byte> bytes, const std::string& where);

}  // namespace orrery::engine
