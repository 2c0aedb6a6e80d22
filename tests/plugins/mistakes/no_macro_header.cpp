// ORRERY_TASK
struct Mine {};
ORRERY_TASK(Mine, Mine, "mine", "1.0.0", "Forgot orrery/plugin.h.")
