// Shared by the tests: a folder of its own for one test.
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace orrery::testing {

class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("orrery_table_" + std::to_string(std::random_device()()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string at(const std::string& name) const { return (path_ / name).string(); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(at(name), std::ios::binary) << text;
    return at(name);
  }

  // Int64 tensors as a safetensors file, by the format's definition; `dtype` is what the header says.
  std::string write_tensors(const std::string& name,
                            const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                            const std::string& dtype = "I64") const {
    std::string header = "{", data;
    for (const auto& [key, tensor] : tensors) {
      std::string shape;
      for (const int64_t size : tensor.sizes()) shape += (shape.empty() ? "" : ",") + std::to_string(size);
      const auto values = tensor.contiguous();
      const size_t start = data.size();
      data.append(static_cast<const char*>(values.data_ptr()), values.nbytes());
      header += (header.size() > 1 ? ",\"" : "\"") + key + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" +
                shape + "],\"data_offsets\":[" + std::to_string(start) + "," + std::to_string(data.size()) +
                "]}";
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const uint64_t length = header.size();
    return write(name, std::string(reinterpret_cast<const char*>(&length), 8) + header + data);
  }

 private:
  std::filesystem::path path_;
};

inline torch::Tensor numbers(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<int64_t> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return torch::tensor(flat, torch::kInt64).view({static_cast<int64_t>(rows.size()), -1});
}

}  // namespace orrery::testing
