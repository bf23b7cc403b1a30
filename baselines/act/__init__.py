"""ACT (Zhao et al., RSS 2023): chunks of actions from a transformer that is the decoder of a conditional VAE.

Read in tonyzhaozh/act (MIT), whose numbers stand in `sizes`. `whole.ACT` looks at images; `over.ACTHead` stands over
any representation, whose feature or tokens take the place of the images' tokens.
"""
