"""Do tests of markers keep their error rate, and what do they find beside others?"""
