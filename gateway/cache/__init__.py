"""Answers kept for replay: which requests are the same, what is kept of an answer, and how it is told again.

    request_key → cache.find → entry → replay        answer → keeper → entry → cache.keep
"""
