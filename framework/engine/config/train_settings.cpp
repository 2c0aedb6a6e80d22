#include "engine/config/train_settings.h"

namespace orrery::engine {

void TrainSettings::fields(Fields<TrainSettings>& f) {
  using S = TrainSettings;
  f.add("steps", &S::steps, "updates to make").between(1, 1e12);
  f.add("optimizer", &S::optimizer, "how weights are updated");
  f.add("lr", &S::lr, "learning rate after the warm-up").at_least(0);
  f.add("weight_decay", &S::weight_decay,
        "adamw: decoupled decay, times the learning rate; adam and sgd: L2 penalty added to the gradient")
      .at_least(0);
  f.add("l1", &S::l1, "L1 penalty, added to the gradient").at_least(0);
  f.add("momentum", &S::momentum, "of sgd").between(0, 1);
  f.add("dropout", &S::dropout, "share of the entries at dropout_at that each update sets to 0")
      .between(0, 0.99);
  f.add("dropout_at", &S::dropout_at, "hook points that dropout acts on, by glob");
  f.add("betas", &S::betas, "decay rates of Adam's two moments, below 1").between(0, 1);
  f.add("eps", &S::eps, "Adam's epsilon, above 0").at_least(0);
  f.add("warmup_steps", &S::warmup_steps, "steps over which the learning rate rises linearly from 0")
      .at_least(0);
  f.add("lr_schedule", &S::lr_schedule,
        "how the learning rate goes on after the warm-up: constant; linear or cosine, falling to lr_end at "
        "the last step; steps, multiplied by lr_factor at each of lr_steps");
  f.add("lr_end", &S::lr_end, "share of lr that linear and cosine end with").between(0, 1);
  f.add("lr_steps", &S::lr_steps, "steps at which lr_schedule = \"steps\" multiplies it, ascending");
  f.add("lr_factor", &S::lr_factor, "what it is multiplied by").between(0, 1);
  f.add("batch_size", &S::batch_size, "examples in a batch; 0 is the whole training set").at_least(0);
  f.add("loss_dtype", &S::loss_dtype, "precision of the log-softmax; float32 floors at 1.2e-7");
  f.add("output_scale", &S::output_scale,
        "what the logits are multiplied by before the loss is taken, in training and in reported losses; the "
        "inverse of a temperature")
      .at_least(1e-6);
  f.add(
       "label_noise", &S::label_noise,
       "share of the training examples whose label is another one, drawn once with seeds.data; the grid that "
       "probes see has the right ones")
      .between(0, 1);
  f.add("dtype", &S::dtype,
        "precision of weights and activations in training; checkpoints and probes have float32, and float64 "
        "goes by the plain kernel");
  f.add("eval_every", &S::eval_every, "steps between two lines of metrics.jsonl").at_least(1);
  f.add("stop_when", &S::stop_when, "stop early once this holds, e.g. \"test/accuracy >= 0.999\"");
  f.add("device", &S::device, "where to train").one_of({"cpu", "cuda", "auto"});
  f.add("threads", &S::threads, "threads of LibTorch and BLAS; small matrices are slower with more")
      .between(1, 1024);
  f.add("kernel", &S::kernel,
        "auto: rearranged products and fused loops where they fit; plain: the forward pass that probes see");
  f.add(
      "flush_subnormals", &S::flush_subnormals,
      "whether numbers below 1.2e-38 (float64: 2.2e-308) count as zero; with false, steps after memorisation "
      "can take several times as long on Intel's processors");
}

// A generator uses 32 bits of a seed.
constexpr double largest_seed = 4294967295.0;

void SeedSettings::fields(Fields<SeedSettings>& f) {
  f.add("data", &SeedSettings::data, "seed of the data and its split").between(0, largest_seed);
  f.add("init", &SeedSettings::init, "seed of the initial weights").between(0, largest_seed);
  f.add("batches", &SeedSettings::batches, "seed of the order of batches").between(0, largest_seed);
}

void InitSettings::fields(Fields<InitSettings>& f) {
  f.add("from", &InitSettings::from,
        "checkpoint whose weights to start with, e.g. runs/grokked/checkpoints/step_00010000.safetensors; "
        "empty: drawn");
}

void CheckpointSettings::fields(Fields<CheckpointSettings>& f) {
  f.add("every", &CheckpointSettings::every, "steps between checkpoints; 0 for none but the logarithmic ones")
      .at_least(0);
  f.add("per_decade", &CheckpointSettings::per_decade,
        "checkpoints per factor of ten in steps, spaced logarithmically, besides the regular ones")
      .between(0, 1000);
  f.add("keep_last", &CheckpointSettings::keep_last,
        "how many of the newest checkpoints stay while training, besides the first, those of per_decade, the "
        "one "
        "that grokked, and those that a probe's reference names; the others go once their probes have "
        "measured "
        "them; 0: all stay")
      .at_least(0);
  f.add("keep_states", &CheckpointSettings::keep_states,
        "whether every checkpoint keeps the state of its training, which is twice its size: for probes that "
        "look into the training and are asked later");
}

void LogSettings::fields(Fields<LogSettings>& f) {
  f.add("tensorboard", &LogSettings::tensorboard,
        "whether the curves are also written for TensorBoard, into the run's folder tensorboard/");
}

}  // namespace orrery::engine
