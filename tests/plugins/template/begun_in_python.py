@orrery.probe(inputs="grid",  # all of them
              activations=["blocks.0.attn.hook_pattern", '*mlp.hook_post'], null=False)
def begun_in_python(seen):
    return {"norm": seen.weights['embed.W_E'].norm() + seen.weights["embed.W_E"].mean(),
            "first": seen.cache["blocks.0.attn.hook_pattern"][0].mean()}
