"""Lets a trial that lost its worker go on from its last finished epoch, in another process; see docs/resume.md.

plain           values that JSON and npz can carry, and nothing that would need pickle
folder          a folder whose content is replaced as a whole
model_state     a model's weights, optimizer and random generators as a checkpoint
untracked       state of a model that a checkpoint leaves out
callback_state  what callbacks have come to know
input_position  brings the input to where an epoch would have found it
randomness      a seed for each execution
global_state    the settings that hold for a whole process
shared          tells of what several executions train
isolation       lets each execution begin as the first one of a process
pace            how often to save
kept_result     the result of a finished execution
fit             one `keras.Model.fit`, kept and taken up again
executions      the executions of a trial, kept and taken up again
"""
