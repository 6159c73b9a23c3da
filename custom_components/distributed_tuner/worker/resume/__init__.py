"""Lets a trial that lost its worker resume after its last finished epoch, in another process; see docs/resume.md.

plain           values that JSON and npz can hold, without pickle
folder          a folder whose content is replaced atomically
model_state     a model's weights, optimizer and random generators as a checkpoint
untracked       state of a model that a checkpoint leaves out
callback_state  the state that callbacks have accumulated
input_position  advances the input to where it would be at the start of an epoch
randomness      a seed for each execution
global_state    the settings of a whole process
shared          warns of state that several executions train
isolation       lets each execution begin as if it were the first of its process
pace            how often to save
kept_result     the result of a finished execution
fit             one `keras.Model.fit`, saved and resumed
executions      the executions of a trial, saved and resumed
"""
