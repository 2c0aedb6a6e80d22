#include "tests/device/emulated_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <torch/version.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace orrery::testing {
namespace {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
#define ORRERY_TORCH_2_3
template <class T>
using Optional = std::optional<T>;
#else
template <class T>
using Optional = c10::optional<T>;
#endif

constexpr c10::DeviceType kind = c10::kXPU;
const c10::Device device(kind, 0);

// The device's memory: the same pages twice, once without access, for pointers in tensors, and once for
// operations.
class Memory {
 public:
  Memory() {
    const int file = memfd_create("emulated device", MFD_CLOEXEC);
    TORCH_CHECK(file >= 0 && ftruncate(file, size) == 0, "no memory for the emulated device");
    hidden_ = map(file, PROT_NONE);
    visible_ = map(file, PROT_READ | PROT_WRITE);
    close(file);
  }

  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    size_t room = 64;
    while (room < bytes) room *= 2;
    std::vector<size_t>& unused = unused_[room];
    size_t offset = end_;
    if (unused.empty()) {
      TORCH_CHECK(end_ + room <= size, "the emulated device is out of memory");
      end_ += room;
    } else {
      offset = unused.back();
      unused.pop_back();
    }
    room_[offset] = room;
    std::memset(visible_ + offset, 0xff, bytes);  // NaN, so that a number that was never written shows
    return hidden_ + offset;
  }
  void give_back(void* hidden) {
    const std::lock_guard lock(mutex_);
    const size_t offset = static_cast<char*>(hidden) - hidden_;
    unused_[room_.at(offset)].push_back(offset);
  }
  void* visible(void* hidden) const { return visible_ + (static_cast<char*>(hidden) - hidden_); }

 private:
  static constexpr size_t size = size_t{16} << 30;  // of addresses; pages are taken when they are used
  static char* map(int file, int access) {
    void* const at = mmap(nullptr, size, access, MAP_SHARED | MAP_NORESERVE, file, 0);
    TORCH_CHECK(at != MAP_FAILED, "no addresses for the emulated device");
    return static_cast<char*>(at);
  }

  std::mutex mutex_;
  char *hidden_ = nullptr, *visible_ = nullptr;
  size_t end_ = 0;
  std::map<size_t, std::vector<size_t>> unused_;  // by room
  std::map<size_t, size_t> room_;                 // by offset
};

Memory& memory() {
  static auto* const made = new Memory;  // outlives every tensor
  return *made;
}

struct EmulatedAllocator final : c10::Allocator {
  static void free(void* hidden) { memory().give_back(hidden); }
#ifdef ORRERY_TORCH_2_3
  c10::DataPtr allocate(size_t bytes) override { return made(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(memory().visible(to), memory().visible(const_cast<void*>(from)), bytes);
  }
#else
  c10::DataPtr allocate(size_t bytes) const override { return made(bytes); }
#endif
  c10::DeleterFnPtr raw_deleter() const override { return &free; }

 private:
  static c10::DataPtr made(size_t bytes) {
    void* const hidden = memory().take(bytes);
    return {hidden, hidden, &free, device};
  }
};

struct EmulatedGuard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kind; }
  c10::Device exchangeDevice(c10::Device) const override { return device; }
  c10::Device getDevice() const override { return device; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }

 private:
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, device); }
};

EmulatedAllocator allocator;
const c10::DispatchKeySet keys(c10::DispatchKey::XPU);

at::Tensor empty(at::IntArrayRef sizes, Optional<at::ScalarType> dtype, Optional<at::Layout>,
                 Optional<at::Device>, Optional<bool>, Optional<at::MemoryFormat> format) {
  return at::Tensor(at::detail::empty_generic(sizes, &allocator, keys, c10::dtype_or_default(dtype), format));
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, Optional<at::ScalarType> dtype,
                         Optional<at::Layout>, Optional<at::Device>, Optional<bool>) {
  return at::Tensor(
      at::detail::empty_strided_generic(sizes, strides, &allocator, keys, c10::dtype_or_default(dtype)));
}

bool is_here(const at::Tensor& x) { return x.defined() && x.device().type() == kind; }

// A CPU tensor over the same memory.
at::Tensor seen(const at::Tensor& x) {
  if (!is_here(x)) return x;
  const auto options = at::TensorOptions().dtype(x.scalar_type()).device(at::kCPU);
  if (x.numel() == 0) return at::empty_strided(x.sizes(), x.strides(), options);
  return at::from_blob(memory().visible(x.data_ptr()), x.sizes(), x.strides(), options);
}

at::Tensor moved_here(const at::Tensor& x) {
  if (!x.defined() || is_here(x)) return x;
  const at::Tensor copy = at::Tensor(
      at::detail::empty_strided_generic(x.sizes(), x.strides(), &allocator, keys, x.scalar_type()));
  if (x.numel() > 0) seen(copy).copy_(x);
  return copy;
}

at::Tensor& copy_(at::Tensor& to, const at::Tensor& from, bool) {
  at::Tensor target = seen(to);
  target.copy_(seen(from));
  return to;
}

// The tensors of an argument or a result, whatever lists they are in, replaced by f of each.
template <class F>
c10::IValue mapped(const c10::IValue& value, const F& f) {
  if (value.isTensor()) return f(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& x : value.toTensorVector()) list.push_back(f(x));
    return list;
  }
  if (value.isList() && !value.toListRef().empty() &&
      (value.toListRef().front().isTensor() || value.toListRef().front().isNone())) {
    c10::List<Optional<at::Tensor>> list;
    for (const c10::IValue& x : value.toListRef())
      list.push_back(x.isNone() ? Optional<at::Tensor>() : Optional<at::Tensor>(f(x.toTensor())));
    return list;
  }
  if (value.isDevice()) return c10::Device(at::kCPU);
  return value;
}

void check_devices(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i)
    mapped(arguments[i], [&](const at::Tensor& x) {
      TORCH_CHECK(!x.defined() || is_here(x) || x.dim() == 0, schema.name(), ": expected all tensors on ",
                  device, ", but its argument ", schema.arguments()[i].name(), " is on ", x.device());
      return x;
    });
}

// Gives `x`, an out= argument without elements, the sizes and numbers of `result`.
void adopt(const at::Tensor& x, const at::Tensor& result) {
  if (x.sizes() == result.sizes()) return;
  const at::Tensor made = moved_here(result);
  x.unsafeGetTensorImpl()->set_storage_keep_dtype(made.storage());
  x.unsafeGetTensorImpl()->set_sizes_and_strides(made.sizes(), made.strides());
}

// Any operation: on the CPU, over the same memory.
void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const size_t n = schema.arguments().size();
  const std::vector<c10::IValue> given(stack->end() - static_cast<std::ptrdiff_t>(n), stack->end());
  check_devices(schema, given);
  std::vector<c10::IValue> on_cpu;
  for (const c10::IValue& argument : given) on_cpu.push_back(mapped(argument, seen));
  torch::jit::drop(*stack, n);
  stack->insert(stack->end(), on_cpu.begin(), on_cpu.end());
  {
    const at::AutoDispatchBelowAutograd below;
    op.callBoxed(stack);
  }
  const size_t n_results = schema.returns().size();
  for (size_t r = 0; r < n_results; ++r) {
    c10::IValue& result = (*stack)[stack->size() - n_results + r];
    const c10::AliasInfo* const alias = schema.returns()[r].alias_info();
    if (!alias) {
      result = mapped(result, moved_here);
      continue;
    }
    TORCH_CHECK(alias->isWrite(), schema.name(), " makes a view, which the emulated device does not know");
    for (size_t i = 0; i < n; ++i) {
      const c10::AliasInfo* const own = schema.arguments()[i].alias_info();
      if (!own || !(*own == *alias)) continue;
      if (given[i].isTensor() && is_here(given[i].toTensor()) && given[i].toTensor().numel() == 0)
        adopt(given[i].toTensor(), on_cpu[i].toTensor());
      result = given[i];
    }
  }
}

}  // namespace

c10::Device emulated_device() {
  static const bool registered = [] {
    static const c10::impl::DeviceGuardImplRegistrar guard(kind, new EmulatedGuard);
    static auto* const operations = new std::vector<torch::Library>;
    operations->emplace_back(torch::Library::IMPL, "aten", Optional<c10::DispatchKey>(c10::DispatchKey::XPU),
                             __FILE__, __LINE__);
    torch::Library& aten = operations->back();
    aten.impl("empty.memory_format", empty);
    aten.impl("empty_strided", empty_strided);
    aten.impl("copy_", copy_);
    aten.impl("view", at::native::view);
    aten.impl("as_strided", at::native::as_strided_tensorimpl);
    aten.impl("_reshape_alias", at::native::_reshape_alias);
    operations->emplace_back(torch::Library::IMPL, "_", Optional<c10::DispatchKey>(c10::DispatchKey::XPU),
                             __FILE__, __LINE__);
    operations->back().fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
    return true;
  }();
  static_cast<void>(registered);
  return device;
}

}  // namespace orrery::testing
