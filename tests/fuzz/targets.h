// What is fuzzed: the readers of files that strangers made. Each either reads its input or throws
// orrery::Error; anything else is a defect. Free of LibTorch; tests/fuzz/fuzz_corpus_test.cpp runs the corpus
// through them.
#pragma once

#include <orrery/error.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "engine/import/networks.h"
#include "engine/import/pickle.h"
#include "engine/import/weight_roles.h"
#include "engine/import/weights_file.h"
#include "engine/import/zip.h"
#include "engine/run/json_line.h"
#include "engine/run/json_read.h"
#include "engine/run/provenance.h"
#include "sdk/files/safetensors.h"

namespace orrery::fuzz {

using namespace engine;

using Input = std::span<const std::byte>;

/// Touches every byte that a tensor claims to have, so that a wrong bound is seen by the sanitizer.
inline unsigned sum_of(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
  return sum;
}

inline unsigned last_element(const pickle::StoredTensor& tensor) {
  size_t at = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 0) return 0;
    at += static_cast<size_t>((tensor.shape[i] - 1) * tensor.strides[i]);
  }
  const size_t size = size_of(tensor.dtype);
  return sum_of({tensor.storage.data() + tensor.offset * size, size}) +
         sum_of({tensor.storage.data() + at * size, size});
}

inline unsigned look_at(const pickle::Heap& heap) {
  unsigned sum = static_cast<unsigned>(heap.root->describe().size());
  for (const pickle::Object& object : heap.objects)
    if (const auto* tensor = object.as<pickle::StoredTensor>()) sum += last_element(*tensor);
  for (const char* key : {"", "model", "state_dicts[1]", "a.b"}) {
    try {
      const FoundNetworks found = find_networks(heap.root, key, "", "fuzz");
      sum += static_cast<unsigned>(found.settings.size());
      for (const FoundNetwork& network : found.networks)
        for (const auto& [name, tensor] : network.tensors())
          sum += last_element(tensor) + part_of(name).has_value();
    } catch (const Error&) {
    }
  }
  return sum;
}

/// Returns something that depends on all that was read; -1u where the input was refused.
template <class Read>
unsigned guarded(Read&& read) {
  try {
    return read();
  } catch (const Error&) {
    return -1u;
  }
}

inline unsigned safetensors_target(Input input) {
  return guarded([&] {
    unsigned sum = 0;
    for (const safetensors::TensorView& tensor : safetensors::parse(input, "fuzz").tensors)
      sum += sum_of(tensor.data);
    return sum;
  });
}

inline unsigned zip_target(Input input) {
  return guarded([&] {
    unsigned sum = 0;
    for (const zip::Member& member : zip::read(input, "fuzz")) sum += sum_of(member.data);
    return sum;
  });
}

inline unsigned pickle_target(Input input) {
  return guarded([&] {
    static const std::array<std::byte, 256> storage{};
    return look_at(pickle::unpickle(
        input, [](const std::string&, uint64_t) { return std::span<const std::byte>(storage); }, "fuzz"));
  });
}

/// The JSON of runs: run.json, lines of metrics and of results, provenances.
inline unsigned json_target(Input input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  guarded([&] { return static_cast<unsigned>(check_line(text, "fuzz")); });
  guarded([&] { return static_cast<unsigned>(parse_metrics_line(text, "fuzz").values.size()); });
  return guarded([&] {
    const Json object = parse_checked_object(text, "fuzz");
    const auto provenance = read_provenance(object);
    return static_cast<unsigned>(provenance ? to_json(*provenance).size() : object.dump().size());
  });
}

inline unsigned weights_target(Input input) {
  return guarded([&] { return look_at(parse_weights(input, "fuzz")); });
}

}  // namespace orrery::fuzz
